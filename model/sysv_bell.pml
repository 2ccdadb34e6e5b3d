// SPDX-License-Identifier: Apache-2.0
//
// The bells beside a System V queue (src/transport/sysv_mq_bell.hpp): who sleeps says so on a page of
// its own, who changes the queue looks at that page and rings. One direction, with a death of either
// end at any step; the hellos that bring page and bells come late, and another thread of either end
// may be the one that reads them. Names in brackets are functions in sysv_mq.cpp and queue_link.cpp.
// Memory and steps as in shm_channel.pml; a change of the queue is a system call and seen at once.

#ifndef MESSAGES
#define MESSAGES 4
#endif
#define DEPTH 2  // messages in the queue
#ifndef TIMEOUTS
#define TIMEOUTS 0
#endif
#ifndef OUTSIDE
#define OUTSIDE 0  // 1: try_ calls and event loops too
#endif
#ifndef OTHERS
#define OTHERS 0  // 1: each end has another thread, which may read the hello
#endif
#ifndef MAY_STOP
#define MAY_STOP 0  // 1: the receiver's application stops for ever
#endif
#ifndef CRASHES
#define CRASHES 0
#endif

chan queue = [DEPTH] of { byte };
byte data_wait, room_wait;  // on B's page and on A's
chan stored_a = [3] of { byte };
chan stored_b = [3] of { byte };
bool data_bell, room_bell;  // rung; polled level-triggered, so that a full one does no harm
byte timeouts = TIMEOUTS;

// A hello to A or B: not sent, in the socket, read; then its reader has joined.
mtype = { none, there, read };
mtype hello_a = none, hello_b = none;
bool hung_up;
bool first_look_a, first_look_b;  // eventfds of those who wait outside
#define joined_a (hello_a == read)
#define joined_b (hello_b == read)
#define socket_a (hello_a == there || hung_up)  // has something to read
#define socket_b (hello_b == there || hung_up)

mtype = { working, asleep, outside, told, done, stopped, dead };
mtype a = working;
mtype b = working;
bool a_has_bell, b_has_bell;  // what the poll of the sleeper is on: the bell, or joined_bell_
byte sent, received;
bool kill_a, kill_b;

#define woken_a (socket_a || (a_has_bell -> room_bell : joined_a))
#define woken_b (socket_b || (b_has_bell -> data_bell : joined_b))
#define polled_a (socket_a || first_look_a || joined_a && room_bell)
#define polled_b (socket_b || first_look_b || joined_b && data_bell)

// [take_hello]
#define join(hello, first_look) hello = read; first_look = true

proctype Sender() {
  byte last, rung;
  bool armed, half_armed, look, is_outside, tries;
  {
    hello_b = there;  // [bind]
    if
    :: true
    :: OUTSIDE -> atomic { is_outside = true; first_look_a = true }  // [outside]
    fi;
again:
    atomic {  // [put_waiting]
      armed = false;
      look = false;
      if
      :: sent == MESSAGES -> a = done; goto over
      :: sent < MESSAGES -> tries = false
      :: sent < MESSAGES && is_outside -> tries = true; look = true
      fi
    }
put:
    if
    :: atomic { nfull(queue) -> queue!sent; sent++; goto after_put }
    :: atomic { full(queue) && look -> look = false;
                if
                :: hello_a == there -> join(hello_a, first_look_a)
                :: else
                fi;
                if
                :: hung_up -> goto ended
                :: else -> if :: tries -> look = true :: else fi
                fi }
    :: full(queue) && !look
    fi;
    if
    :: !armed ->  // [arm]
      if
      :: is_outside -> first_look_a = false; atomic { joined_a -> room_bell = false }
      :: is_outside -> first_look_a = false; !joined_a
      :: !is_outside
      fi;
      atomic { last++; stored_a!last; half_armed = true; armed = true }
      atomic { empty(stored_a); goto put }  // @fence: room
    :: armed && tries -> atomic { a = outside; polled_a -> a = working; goto again }
    :: armed && !tries
    fi;
    atomic { a_has_bell = joined_a; a = asleep }  // [await]
    if
    :: atomic { woken_a -> a = working; look = socket_a;
                if
                :: a_has_bell -> room_bell = false
                :: else
                fi;
                armed = false;  // @new number: room
                goto put }
    :: atomic { timeouts > 0 -> timeouts--; a = working; goto again }
    fi;
after_put:
    atomic {  // [disarm]
      if
      :: half_armed && !is_outside -> stored_a!0; half_armed = false
      :: else
      fi
    }
    atomic {  // [joined]
      if
      :: hello_a == there -> join(hello_a, first_look_a)
      :: else
      fi
    }
    atomic {  // [wants_ring]
      if
      :: joined_a && data_wait != 0 && data_wait != rung -> rung = data_wait
      :: else -> goto again
      fi
    }
    atomic { data_bell = true; goto again }  // @ring for data
ended:
    a = told;
over:
end:
    false
  } unless { atomic { kill_a; a = dead; last = 0; rung = 0 } }
}

proctype Receiver() {
  byte last, rung;
  bool armed, half_armed, look, looked, seen_end, is_outside, tries;
  {
    hello_a = there;  // [bind]
    if
    :: true
    :: OUTSIDE -> atomic { is_outside = true; first_look_b = true }  // [outside]
    fi;
again:
    atomic {  // [receive]
      armed = false;
      if
      :: MAY_STOP -> b = stopped; goto over
      :: tries = false
      :: is_outside -> tries = true
      fi
    }
    if
    :: true
    :: !tries && !is_outside ->  // NapHabit: waits first
      atomic { last++; stored_b!last; half_armed = true; armed = true }
      empty(stored_b)  // @fence: nap
    fi;
take:
    if
    :: atomic { hello_b != there && !joined_b -> goto empty_handed }
    :: atomic { hello_b == there -> join(hello_b, first_look_b) }
    :: joined_b
    fi;
    if
    :: atomic { nempty(queue) -> looked = true; queue?eval(received); received++ }
    :: atomic { empty(queue) -> looked = true; goto empty_handed }
    fi;
    atomic {  // [disarm]
      if
      :: half_armed && !is_outside -> stored_b!0; half_armed = false
      :: else
      fi
    }
    atomic {  // [wants_ring]
      if
      :: room_wait != 0 && room_wait != rung -> rung = room_wait
      :: else -> goto again
      fi
    }
    atomic { room_bell = true; goto again }  // @ring for room
empty_handed:  // [after_empty]
    atomic {
      if
      :: seen_end -> goto ended
      :: !seen_end && (look || tries) ->
        look = false;
        if
        :: hello_b == there -> join(hello_b, first_look_b)
        :: else
        fi;
        if
        :: hung_up -> seen_end = true; goto take  // @last look
        :: else
        fi
      :: else
      fi
    }
    if
    :: !armed ->  // [arm]
      if
      :: is_outside -> first_look_b = false; atomic { joined_b -> data_bell = false }
      :: is_outside -> first_look_b = false; !joined_b
      :: !is_outside
      fi;
      atomic { last++; stored_b!last; half_armed = true; armed = true }
      atomic { empty(stored_b); goto take }  // @fence: data
    :: armed && tries -> atomic { b = outside; polled_b -> b = working; goto again }
    :: armed && !tries
    fi;
    atomic {  // [await]
      b_has_bell = joined_b;
      if
      :: b_has_bell && !looked -> armed = false; goto take
      :: else -> b = asleep
      fi
    }
    if
    :: atomic { woken_b -> b = working; look = socket_b;
                if
                :: b_has_bell -> data_bell = false
                :: else
                fi;
                armed = false;  // @new number: data
                goto take }
    :: atomic { timeouts > 0 -> timeouts--; b = working; goto again }
    fi;
ended:
    atomic { assert(a == dead && received == sent); b = told }
over:
end:
    false
  } unless { atomic { kill_b; b = dead; last = 0; rung = 0 } }
}

proctype Others() {
end:
  do
  :: atomic { hello_a == there && a != dead; join(hello_a, first_look_a) }
  :: atomic { hello_b == there && b != dead; join(hello_b, first_look_b) }
  od
}

proctype Machine() {
  byte value;
end:
  do
  :: atomic { stored_a?value -> room_wait = value; value = 0 }
  :: atomic { stored_b?value -> data_wait = value; value = 0 }
  :: atomic { !hung_up && (a == dead || b == dead); hung_up = true }
  od
}

proctype Killer() {
  if
  :: kill_a = true
  :: kill_b = true
  fi
}

#define a_rests (a == done || a == told || a == asleep && !woken_a || a == outside && !polled_a)
#define b_rests (b == stopped || b == told || b == asleep && !woken_b || b == outside && !polled_b)
#define all_rest (a_rests && b_rests && empty(stored_a) && empty(stored_b))

proctype Observer() {
end:
  do
  :: atomic { all_rest && (b == asleep || b == outside) && received != sent;
              assert(false)  /* B sleeps over a message */ }
  :: atomic { all_rest && (a == asleep || a == outside) && nfull(queue);
              assert(false)  /* A sleeps over room */ }
  od
}

init {
  atomic {
    if
    :: OTHERS -> run Others()
    :: else
    fi;
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
