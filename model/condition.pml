// SPDX-License-Identifier: Apache-2.0
//
// Condition: two wait for an item each, two put one in and notify; who waits may be killed before any
// step (src/memory/condition.cpp). The Mutex is what mutex.pml shows it to be: one step to lock, and
// free after its owner's death. Who puts in is not killed: somebody who dies before the notification
// has notified nobody, and the notification is one step of the kernel.

#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef CHANGERS
#define CHANGERS 2
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 0
#endif

byte owner;                // of the Mutex
byte items, taken, done;
byte sequence, waiters;    // the Condition's two words
bool asleep[3], killed[3], gone[3];
byte deaths;

inline lock(who) { atomic { owner == 0 -> owner = who } }
inline wake_all() { asleep[1] = false; asleep[2] = false }

proctype Waiter(byte me) {
  byte seen;
  {
    lock(me);
    do
    :: items != 0 -> break
    :: items == 0 ->
      seen = sequence;  // @read
      waiters++;        // @count
      owner = 0;        // @unlock
      atomic {          // futex_wait
        if
        :: sequence == seen -> asleep[me] = true  // @compare
        :: else
        fi
      }
      if
      :: atomic { !asleep[me] -> skip }
      :: atomic { TIMEOUTS && asleep[me] -> asleep[me] = false }
      fi;
      waiters--;
      lock(me)
    od;
    atomic { items--; taken++ }
    owner = 0;
    gone[me] = true
  } unless {
    atomic {
      killed[me];
      asleep[me] = false;
      gone[me] = true;
      if
      :: owner == me -> owner = 0
      :: else
      fi
    }
  }
}

proctype Changer(byte me) {
  lock(me);   // @lock: change
  items++;
  owner = 0;  // @unlock: change
  if
  :: waiters != 0 ->                      // @anybody
    atomic { sequence++; wake_all() }     // @notify
  :: else
  fi;
  done++
}

proctype Killer() {
end:
  do
  :: atomic { deaths < DEATHS && !killed[1] -> deaths++; killed[1] = true }
  :: atomic { deaths < DEATHS && !killed[2] -> deaths++; killed[2] = true }
  od
}

#define rests(who) (asleep[who] || gone[who])

proctype Observer() {
end:
  atomic { done == CHANGERS && items > 0 && rests(1) && rests(2) && (asleep[1] || asleep[2]);
           assert(false) /* asleep over an item, and nobody is left to notify */ }
}

init {
  atomic {
    run Observer(); run Killer(); run Waiter(1); run Waiter(2); run Changer(3);
    if
    :: CHANGERS == 2 -> run Changer(4)
    :: else
    fi
  }
}
