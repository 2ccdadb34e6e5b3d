// SPDX-License-Identifier: Apache-2.0
//
// The timer of a sleep on shm: armed no more often than needed, left armed, watched edge-triggered
// (src/transport/shm/wake_set.cpp). Calls with deadlines of all kinds, one after the other, with and
// without rings; time passes at any moment. shm_channel.pml has the rest, without a clock.

#define LAST 3     // moments of time
#define NEVER 255  // later than all of them
#ifndef CALLS
#define CALLS 4
#endif
#ifndef RINGS
#define RINGS 2
#endif

byte now, deadline, calls;
byte fires_at = NEVER;  // the kernel's timer
byte armed = NEVER;     // what we believe of it [armed_]
bool clock_edge, bell_edge, waits, asleep;
byte rings = RINGS, needless;

// timerfd_settime: what had gone off and was not told is forgotten.
inline set_timer(at) {
  clock_edge = at <= now;
  fires_at = (at <= now -> NEVER : at)
}

proctype Waiter() {
  bool went_off, rung;
  do
  :: calls == CALLS -> break
  :: calls < CALLS ->
    atomic {
      calls++;
      needless = 0;
      if
      :: deadline = 0
      :: deadline = 1
      :: deadline = 2
      :: deadline = 3
      :: deadline = NEVER
      fi;
      waits = true
    }
    do
    :: atomic {  // [WakeSet::arm]
         if
         :: armed > deadline -> set_timer(deadline); armed = deadline  // @arm
         :: else
         fi;
         asleep = true
       }
       atomic {  // epoll_wait
         clock_edge || bell_edge;
         asleep = false;
         went_off = clock_edge;
         rung = bell_edge;
         clock_edge = false;
         bell_edge = false;
         if
         :: went_off -> armed = NEVER  // @gone off
         :: else
         fi
       }
       atomic {
         if
         :: rung -> break
         :: !rung && deadline <= now -> assert(deadline != NEVER); break
         :: else -> needless++; assert(needless <= 1)  // one turn for nothing, of an older deadline
         fi
       }
    od;
    waits = false
  od
}

proctype World() {
end:
  do
  :: atomic { now < LAST -> now++;
              if
              :: fires_at <= now -> clock_edge = true; fires_at = NEVER
              :: else
              fi }
  :: atomic { rings > 0 -> rings--; bell_edge = true }
  od
}

proctype Observer() {
end:
  atomic { asleep && deadline <= now && !clock_edge && !bell_edge;
           assert(false)  /* nothing wakes it, and its deadline has come */ }
}

init { atomic { run Observer(); run Waiter(); run World() } }
