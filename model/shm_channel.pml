// SPDX-License-Identifier: Apache-2.0
//
// One direction of a shm channel: how its two threads sleep and wake each other, with a crash
// possible in every state. docs/protocol/shm.md is the protocol, src/transport/shm/ the code; names
// in brackets are functions there. README.md beside this file: what is left out, and why it may be.
//
//   Sender    the sending thread of end A
//   Receiver  the receiving thread of end B
//   Machine   the processors' store buffers, and the kernel's clean-up after a death
//   Killer    kills A or B, at any moment
//   Observer  says what must not be
//
// Memory. A store goes into its thread's buffer and is seen later; a load reads memory at once. A
// relaxed store may overtake all stores to other words (weaker than x86; ARM does that), a release
// store waits for all that were stored before it. A fence waits until the buffer is empty: without
// one, a look at the peer's word can come before the own store is seen. A system call on what both
// ends share takes a lock in the kernel, which orders the stores before it.
//
// Steps. An `atomic` is one access to what is shared, with the thread's private work around it. A
// fence and the load behind it are one step: an empty buffer stays empty, so that the step comes at
// any time after the fence, as the load does.
//
// A unit stands for the bytes of the smallest record; a record has one or two.
//
// scripts/model changes the lines that have an @ mark, one at a time (mutations.txt).

#ifndef MESSAGES
#define MESSAGES 3
#endif
#define CAPACITY 4  // units
#ifndef LARGEST
#define LARGEST 2  // units of a record, at most half the capacity; 1 where only bells matter
#endif
#define KEEPS 2  // @keeps: consumed units that are given back at once; fewer may be kept: less than half
#ifndef TIMEOUTS
#define TIMEOUTS 0  // deadlines that come while a thread sleeps
#endif
#ifndef OUTSIDE
#define OUTSIDE 0  // 1: try_ calls and event loops too, mixed with calls that block
#endif
#ifndef MAY_STOP
#define MAY_STOP 0  // 1: an application stops for ever, or closes its end
#endif
#ifndef CRASHES
#define CRASHES 0
#endif
#ifndef MOVES
#define MOVES 0  // 1: the channel begins on its socket and moves to memory, at any message or never
#endif
#ifndef SOCKET_BELL
#define SOCKET_BELL 0  // 1: the peer is not trusted: bells are sockets, which can be full
#endif
#define BELL_HOLDS 4     // rings
#define DRAINED_EVERY 2  // epochs; fewer than BELL_HOLDS
#define DRAIN_TAKES 3    // rings; no fewer than DRAINED_EVERY

// What lies in the two segments.
byte tail, head, wait_data, wait_space;
bool closed_a, closed_b, mapped_b;
byte slot[CAPACITY];

// Store buffers: which word, what value. Those of slots are SLOT and its place.
#define TAIL 0
#define HEAD 1
#define WAIT_DATA 2
#define WAIT_SPACE 3
#define CLOSED 4
#define MAPPED 5
#define SLOT 8
#define SLOT_0 8
#define SLOT_1 9
#define SLOT_2 10
#define SLOT_3 11
chan stored_a = [4] of { byte, byte };
chan stored_b = [4] of { byte, byte };

// What the kernel knows. A bell: how often it was rung (an eventfd: 1), and whether its edge is
// queued in the sleeper's epoll descriptor. The control socket: packets on their way from A to B,
// and the hang-up, which both ends see.
byte data_bell, space_bell;
bool data_edge, space_edge;
chan socket = [2] of { byte };
bool hung_up;
#define MOVED 254
#define BYE 255

// Where the two are. `asleep` is in epoll_wait, `outside` in an event loop on readable() or
// writable(), `polling` at the control socket; `told` was told the end.
mtype = { working, asleep, outside, polling, told, done, stopped, dead };
mtype a = working;
mtype b = working;
bool a_moved = !MOVES, b_moved = !MOVES;
byte sent, received;  // messages
byte consumed;        // units
byte timeouts = TIMEOUTS;
bool kill_a, kill_b;

#define content(message, units) ((message) * 2 + (units))
#define odd(epoch) (((epoch) & 1) == 1)
#define next_odd(epoch) ((epoch) + 1 + ((epoch) & 1))

inline ring(bell, edge) {
  if
  :: !SOCKET_BELL -> bell = 1; edge = true
  :: SOCKET_BELL && bell < BELL_HOLDS -> bell++; edge = true
  :: SOCKET_BELL && bell == BELL_HOLDS  // EAGAIN: it has been rung
  fi
}

inline drain(bell) {
  bell = (SOCKET_BELL && bell > DRAIN_TAKES -> bell - DRAIN_TAKES : 0)
}

// An edge is told once, and only while the bell is readable. [WakeSet::wait]
#define told_edge(bell, edge) (edge && bell > 0)

// ---------------------------------------------------------------------------------------------

#define room_now (my_tail + units - known <= CAPACITY)  // @room

inline look_at_head() {
  assert(head >= known && head <= my_tail);  // [PeerCursor::judge]
  known = head
}

proctype Sender() {
  byte my_tail, known, rung, epoch, units;
  mtype woken = working;
  {
    goto again;
again:
    atomic {  // [Sender::prepare, await_room]
      woken = working;
      if
      :: sent == MESSAGES -> a = done; units = 0; goto finished
      :: sent < MESSAGES -> units = 1
      :: sent < MESSAGES && LARGEST == 2 -> units = 2
      fi;
      if
      :: !a_moved -> units = 0; goto packet
      :: a_moved && room_now -> goto add
      :: a_moved && !room_now
      fi
    }
look:
    atomic {
      look_at_head();
      if
      :: room_now -> goto add
      :: !room_now -> goto arm
      :: !room_now && OUTSIDE -> goto try
      fi
    }

arm:  // [Sleeper::wait_on]
    atomic {
      epoch = next_odd(epoch);  // @new epoch: space
      if
      :: SOCKET_BELL && epoch / 2 % DRAINED_EVERY == 0 -> drain(space_bell)
      :: else
      fi
    }
    atomic { stored_a!WAIT_SPACE, epoch }
    atomic {
      empty(stored_a);  // @fence: armed for space
      look_at_head();   // @second look: space
      if
      :: room_now -> goto disarm
      :: else -> a = asleep
      fi
    }
    if
    :: atomic { told_edge(space_bell, space_edge) && !hung_up -> space_edge = false; a = working }
    :: atomic { hung_up -> space_edge = false; woken = told; a = working }  // @hang-up: space
    :: atomic { timeouts > 0 && !hung_up -> timeouts--; woken = stopped; a = working }
    fi;
    atomic {
      look_at_head();
      if
      :: room_now || woken == stopped
      :: !room_now && woken == told -> goto ended
      :: !room_now && woken == working -> goto arm
      fi
    }
disarm:
    atomic {
      epoch++;
      stored_a!WAIT_SPACE, epoch;
      if
      :: room_now -> goto add
      :: else -> goto again  // timed out: the application calls again
      fi
    }

try:  // [Sender::no_room_now, Sleeper::arm_for_outside]
    atomic { epoch = next_odd(epoch); drain(space_bell) }
    atomic { stored_a!WAIT_SPACE, epoch }
    atomic {
      empty(stored_a);  // @fence: armed for space outside
      look_at_head();   // @second look: space outside
      if
      :: room_now -> goto add
      :: else
      fi
    }
    atomic {
      if
      :: hung_up -> goto ended
      :: else -> a = outside  // `full`; level-triggered
      fi
    }
    atomic { space_bell > 0 || hung_up -> a = working; goto again }

add:  // [RingWriter::add, publish]
    atomic {
      stored_a!SLOT + my_tail % CAPACITY, content(sent, units);
      if
      :: units == 2 -> stored_a!SLOT + (my_tail + 1) % CAPACITY, content(sent, units)
      :: else
      fi
    }
    atomic { my_tail = my_tail + units; units = 0; woken = working; sent++; stored_a!TAIL, my_tail }  // @publish
    atomic {  // [RingWriter::news_for_peer]
      empty(stored_a);  // @fence: published
      if
      :: odd(wait_data) && wait_data != rung -> rung = wait_data  // @once: data
      :: else -> goto quiet  // @no ring
      fi
    }
    atomic { empty(stored_a); ring(data_bell, data_edge); goto again }  // @ring for data
quiet:
    atomic {
      if
      :: closed_b -> goto ended
      :: else -> goto again
      fi
    }

packet:  // on the socket [Sender::move, PacketSender::add]; not moving stands for a hello not read
    if
    :: atomic { mapped_b && nfull(socket) && !hung_up -> socket!MOVED; a_moved = true; goto again }  // @moved
    :: atomic { nfull(socket) && !hung_up -> socket!content(sent, 1); sent++; goto again }
    :: atomic { full(socket) && !hung_up -> a = polling }
    :: atomic { hung_up -> goto ended }
    fi;
    atomic { nfull(socket) || hung_up -> a = working }
    if
    :: atomic { nfull(socket) && !hung_up -> socket!content(sent, 1); sent++; goto again }
    :: atomic { nfull(socket) && !hung_up && OUTSIDE -> goto again }  // it was a try_ call
    :: atomic { hung_up -> goto ended }
    fi;

finished:
    if
    :: MAY_STOP -> stored_a!CLOSED, 1  // [Binding::close]
    :: true -> goto over
    fi;
    if
    :: a_moved
    :: !a_moved -> atomic { empty(stored_a); nfull(socket) || hung_up;
                            if :: hung_up :: else -> socket!BYE fi }
    fi;
    atomic { empty(stored_a); hung_up = true; goto over }
ended:
    atomic { assert(hung_up || closed_b); a = told; units = 0; woken = working }
over:
end:
    false
  } unless {
    atomic { kill_a; a = dead; my_tail = 0; known = 0; rung = 0; epoch = 0; units = 0;
             woken = working }
  }
}

// ---------------------------------------------------------------------------------------------

inline look_at_tail() {
  assert(tail >= known && tail - consumed <= CAPACITY);  // [PeerCursor::judge]
  known = tail
}

proctype Receiver() {
  byte given, known, rung, epoch, units;
  bool about_to_wait;
  mtype woken = working;
  {
    stored_b!MAPPED, 1;  // [Binding::attach_locked]
again:
    if
    :: atomic { MAY_STOP -> b = stopped; goto over }
    :: atomic { MAY_STOP -> b = stopped; goto close }
    :: atomic { !b_moved -> woken = working; goto packet }
    :: atomic {  // [Receiver::await_news]
         b_moved;
         woken = working;
         if
         :: consumed == known -> look_at_tail()
         :: else
         fi;
         if
         :: consumed != known -> goto take
         :: consumed == known && given != consumed -> about_to_wait = true  // @give back first
         :: consumed == known && given == consumed -> goto wait
         fi
       }
    fi;

give:  // [RingReader::give_back]
    atomic { given = consumed; stored_b!HEAD, given }
    atomic {
      empty(stored_b);  // @fence: gave back
      if
      :: odd(wait_space) && wait_space != rung -> rung = wait_space  // @once: space
      :: else -> goto given_back
      fi
    }
    atomic { empty(stored_b); ring(space_bell, space_edge) }  // @ring for space
given_back:
    atomic {
      if
      :: about_to_wait -> about_to_wait = false
      :: else -> goto again
      fi
    }
wait:
    if
    :: true
    :: OUTSIDE -> goto try
    fi;

arm:  // [Sleeper::wait_on]
    atomic {
      epoch = next_odd(epoch);  // @new epoch: data
      if
      :: SOCKET_BELL && epoch / 2 % DRAINED_EVERY == 0 -> drain(data_bell)  // @drain
      :: else
      fi
    }
    atomic { stored_b!WAIT_DATA, epoch }
    atomic {
      empty(stored_b);  // @fence: armed for data
      look_at_tail();   // @second look: data
      if
      :: consumed != known -> goto disarm
      :: else -> b = asleep
      fi
    }
    if
    :: atomic { told_edge(data_bell, data_edge) && !hung_up -> data_edge = false; b = working }
    :: atomic { hung_up -> data_edge = false; woken = told; b = working }  // @hang-up: data
    :: atomic { timeouts > 0 && !hung_up -> timeouts--; woken = stopped; b = working }
    fi;
    atomic {
      look_at_tail();  // @last look
      if
      :: consumed != known || woken == stopped
      :: consumed == known && woken == told -> goto ended
      :: consumed == known && woken == working -> goto arm
      fi
    }
disarm:
    atomic {
      epoch++;
      stored_b!WAIT_DATA, epoch;
      if
      :: consumed != known -> goto take
      :: else -> goto again  // timed out: the application calls again
      fi
    }

try:  // [Receiver::no_news_now, Sleeper::arm_for_outside]
    atomic { epoch = next_odd(epoch); drain(data_bell) }
    atomic { stored_b!WAIT_DATA, epoch }
    atomic {
      empty(stored_b);  // @fence: armed for data outside
      look_at_tail();   // @second look: data outside
      if
      :: consumed != known -> goto take
      :: else
      fi
    }
    atomic {
      if
      :: hung_up -> woken = told
      :: else -> b = outside  // `empty`; level-triggered
      fi
    }
    if
    :: atomic { woken == told ->
         look_at_tail();  // @last look outside
         if
         :: consumed != known -> goto take
         :: else -> goto ended
         fi
       }
    :: atomic { woken != told && (data_bell > 0 || hung_up) -> b = working; goto again }
    fi;

take:  // [RingReader::record, Receiver::take, RingReader::consume]
    atomic {
      woken = working;
      units = (slot[consumed % CAPACITY] & 1 -> 1 : 2);
      assert(slot[consumed % CAPACITY] == content(received, units))
    }
    atomic {
      assert(slot[(consumed + units - 1) % CAPACITY] == content(received, units));
      received++;
      consumed = consumed + units;
      units = 0;
      if
      :: consumed - given >= KEEPS || odd(wait_space) -> goto give
      :: else -> goto again
      fi
    }

packet:  // on the socket [Receiver::prepare, enter_ring]
    if
    :: atomic { socket?MOVED -> b_moved = true; goto again }
    :: atomic { socket?BYE -> goto ended }
    :: atomic { socket?eval(content(received, 1)) -> received++; goto again }
    :: atomic { empty(socket) && hung_up -> goto ended }
    :: atomic { empty(socket) && !hung_up -> b = polling }
    fi;
    atomic { nempty(socket) || hung_up -> b = working; goto again }

close:  // [Binding::close]
    stored_b!CLOSED, 1;
    atomic { empty(stored_b); hung_up = true; goto over }
ended:
    atomic {
      assert(a == dead || closed_a);
      assert(received == sent);
      b = told;
      woken = working
    }
over:
end:
    false
  } unless {
    atomic { kill_b; b = dead; given = 0; known = 0; rung = 0; epoch = 0; units = 0;
             about_to_wait = false; woken = working }
  }
}

// ---------------------------------------------------------------------------------------------

#define relaxed(buffer, word, place) atomic { buffer??word, value -> place = value; value = 0 }
#define release(buffer, word, place) atomic { buffer?word, value -> place = value; value = 0 }

proctype Machine() {
  byte value;
end:
  do
  :: relaxed(stored_a, SLOT_0, slot[0])
  :: relaxed(stored_a, SLOT_1, slot[1])
  :: relaxed(stored_a, SLOT_2, slot[2])
  :: relaxed(stored_a, SLOT_3, slot[3])
  :: release(stored_a, TAIL, tail)  // @release: tail
  :: relaxed(stored_a, WAIT_SPACE, wait_space)
  :: release(stored_a, CLOSED, closed_a)
  :: relaxed(stored_b, WAIT_DATA, wait_data)
  :: release(stored_b, HEAD, head)
  :: release(stored_b, CLOSED, closed_b)
  :: release(stored_b, MAPPED, mapped_b)
  // What a dead process had stored is seen before the kernel closes what it had open.
  :: atomic { !hung_up && (a == dead && empty(stored_a) || b == dead && empty(stored_b));
              hung_up = true }
  od
}

proctype Killer() {
  if
  :: kill_a = true
  :: kill_b = true
  fi
}

// In a call or an event loop that nothing will end but a deadline.
#define a_waits (a == asleep || a == outside || a == polling)
#define b_waits (b == asleep || b == outside || b == polling)
#define a_rests (a == done || a == told || !hung_up && ( \
  a == asleep && !told_edge(space_bell, space_edge) || a == outside && space_bell == 0 || \
  a == polling && full(socket)))
#define b_rests (b == stopped || b == told || !hung_up && ( \
  b == asleep && !told_edge(data_bell, data_edge) || b == outside && data_bell == 0 || \
  b == polling && empty(socket)))
#define all_rest (a_rests && b_rests && empty(stored_a) && empty(stored_b))

proctype Observer() {
end:
  do
  :: atomic { all_rest && b_waits && (received != sent || head != consumed);
              assert(false)  /* B sleeps over a message, or keeps room back in its sleep */ }
  :: atomic { all_rest && a_waits && !(b == stopped && received != sent);
              assert(false)  /* A sleeps over room, though B takes all there is */ }
  od
}

init {
  atomic {
    if
    :: CRASHES -> run Killer()
    :: else
    fi;
    run Observer();
    run Machine();
    run Sender();
    run Receiver()
  }
}
