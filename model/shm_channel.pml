// SPDX-License-Identifier: Apache-2.0
//
// One direction of a shm channel: how its two threads sleep and wake each other, with a crash
// possible in every state. docs/protocol/shm.md is the protocol, src/transport/shm/ the code; the
// names in brackets are the functions there. README.md beside this file says what is left out.
//
//   Sender     the sending thread of end A
//   Receiver   the receiving thread of end B
//   Greeter    the other thread of end A, which may be the one that waits for B's hello
//   Machine    the processors' store buffers, and the kernel's clean-up after a death
//   Killer     ends A or B at any moment, or neither
//   Observer   looks at what is left when nobody can go on
//
// Memory. A store goes into its thread's buffer and becomes visible later; a load reads memory at
// once. A relaxed store may overtake every store to another word (weaker than x86, as ARM does); a
// release store waits for all that were stored before it. A fence waits until the buffer is empty.
// So without the fence a look at the peer's word can come before the own store is seen. A system
// call on what both ends share has the kernel's lock in it, and so what a fence does.
//
// A unit stands for the bytes of the smallest record, a number for what a record contains.

#ifndef MESSAGES
#define MESSAGES 4
#endif
#define CAPACITY 4  /* units; a record has 1 or 2, at most half */
#define KEEPS 2     /* so many consumed units are given back at once; fewer may be kept back */
#ifndef TIMEOUTS
#define TIMEOUTS 1  /* deadlines that come while a thread sleeps */
#endif
#ifndef SOCKET_BELL
#define SOCKET_BELL 0  /* the peer is not trusted: the bell is a socket, which can be full */
#endif
#define BELL_HOLDS 4     /* rings in a socket bell */
#define DRAINED_EVERY 2  /* epochs; fewer than BELL_HOLDS */
#define DRAIN_TAKES 3    /* rings; no fewer than DRAINED_EVERY */
#ifndef GREETER
#define GREETER 0
#endif
#ifndef MAY_STOP
#define MAY_STOP 1  /* the application may stop receiving for ever, or close its end */
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef OUTSIDE
#define OUTSIDE 1  /* try_ calls and event loops, mixed with calls that block */
#endif

// The words of the two segments, and what stands in the ring.
byte tail, head, wait_data, wait_space;
bool closed_a, closed_b;
byte slot[CAPACITY];

// Store buffers: which word, what value.
#define TAIL 0
#define HEAD 1
#define WAIT_DATA 2
#define WAIT_SPACE 3
#define CLOSED 4
#define SLOT 8
#define SLOT_0 8
#define SLOT_1 9
#define SLOT_2 10
#define SLOT_3 11
chan stored_a = [4] of { byte, byte };
chan stored_b = [4] of { byte, byte };

// The kernel's part. A bell: how often it was rung (an eventfd counts as 1), and whether its edge
// is queued at the sleeper's epoll descriptor.
byte data_bell, space_bell;
bool data_edge, space_edge;
bool hung_up;          // the control socket
bool hello;            // B's hello is in A's control socket, or was read
bool met;              // A has read it [Binding::peer_]
bool greeter_polls;    // [Binding::polling_]

// What the properties are about. Nothing above depends on it.
mtype = { working, asleep, asleep_for_hello, told, done, stopped, dead };
mtype a = working;
mtype b = working;
bool kill_a, kill_b;
byte sent;       // messages whose send succeeded
byte received;
byte consumed;   // units
byte wanted;     // units that A waits for
byte timeouts = TIMEOUTS;

#define room_for(units, seen) (my_tail + (units) - (seen) <= CAPACITY)
#define content(message, units) ((message) * 2 + (units))
#define odd(epoch) (((epoch) & 1) == 1)
#define system_call_a empty(stored_a)
#define system_call_b empty(stored_b)

inline ring(bell, edge) {
  if
  :: SOCKET_BELL && bell == BELL_HOLDS -> skip  // EAGAIN: it was rung already
  :: SOCKET_BELL && bell < BELL_HOLDS -> bell++; edge = true
  :: !SOCKET_BELL -> bell = 1; edge = true
  fi
}

inline drain(bell) {
  bell = (SOCKET_BELL && bell > DRAIN_TAKES -> bell - DRAIN_TAKES : 0)
}

inline drain_at_times(bell) {
  if
  :: SOCKET_BELL && my_epoch / 2 % DRAINED_EVERY == 0 -> drain(bell)
  :: else
  fi
}

// epoll_wait: an edge is told once, and only if the bell is still readable. [WakeSet::wait]
#define edge_told(bell, edge) (edge && bell > 0)

// ---------------------------------------------------------------------------------------------

inline look_at_head() {
  atomic {
    assert(head >= known && head <= my_tail);  // [PeerCursor::judge]
    known = head
  }
}

// [Binding::meet, os::no_wait]
inline look_for_hello() {
  atomic {
    if
    :: !met && !greeter_polls && hello -> met = true  // @hello
    :: else
    fi;
    i_met = met
  }
}

inline arm_for_space() {
  d_step { my_epoch = my_epoch + 1 + (my_epoch & 1); drain_at_times(space_bell) }
  stored_a!WAIT_SPACE, my_epoch;
  empty(stored_a)  // @fence: arm for space
}

inline disarm_for_space() {
  my_epoch++;
  stored_a!WAIT_SPACE, my_epoch
}

proctype Sender() {
  byte my_tail, known, rung, my_epoch, epoch, units, i;
  bool i_met, enough;
  mtype woken;
  {
    do
    :: sent == MESSAGES -> break
    :: sent < MESSAGES ->
      if
      :: units = 1
      :: units = 2
      fi;
      if
      :: !i_met -> look_for_hello()  // [Sender::prepare]
      :: else
      fi;
      // [Sender::await_room]
      do
      :: room_for(units, known) -> break
      :: !room_for(units, known) && !i_met ->
        d_step { a = asleep_for_hello; wanted = units }
        if
        :: atomic { met || hello && !greeter_polls -> met = true; i_met = true; a = working }
        :: atomic { hung_up && !hello -> goto ended }
        fi
      :: !room_for(units, known) && i_met ->
        look_at_head();
        if
        :: room_for(units, known) -> break
        :: else
        fi;
        if
        :: true ->  // [Sleeper::wait_on]
          do
          :: arm_for_space();
            look_at_head();  // @look again: space
            if
            :: room_for(units, known) -> break
            :: else
            fi;
            d_step { a = asleep; wanted = units }
            if
            :: atomic { edge_told(space_bell, space_edge) && !hung_up ->
                 space_edge = false; woken = working; a = working }
            :: atomic { hung_up -> space_edge = false; woken = told; a = working }  // @hang-up: space
            :: atomic { timeouts > 0 -> timeouts--; woken = stopped; a = working }
            fi;
            look_at_head();
            if
            :: room_for(units, known) || woken == stopped -> break
            :: !room_for(units, known) && woken == told -> goto ended
            :: else
            fi
          od;
          disarm_for_space()
        :: OUTSIDE ->  // [Sender::no_room_now]
          drain(space_bell);
          arm_for_space();
          look_at_head();
          if
          :: room_for(units, known) -> break
          :: else
          fi;
          if
          :: hung_up -> goto ended
          :: else
          fi;
          // `full`: the application waits on writable(), level-triggered.
          d_step { a = asleep; wanted = units }
          atomic { space_bell > 0 || hung_up -> a = working }
        fi
      od;
      // [RingWriter::add, publish]
      stored_a!SLOT + my_tail % CAPACITY, content(sent, units);
      if
      :: units == 2 -> stored_a!SLOT + (my_tail + 1) % CAPACITY, content(sent, units)
      :: else
      fi;
      my_tail = my_tail + units;
      stored_a!TAIL, my_tail;
      sent++;
      // [RingWriter::news_for_peer]
      empty(stored_a);  // @fence: publish
      if
      :: !i_met -> atomic { system_call_a -> ring(data_bell, data_edge) }
      :: i_met ->
        epoch = wait_data;
        if
        :: odd(epoch) && epoch != rung ->
          rung = epoch;  // @ring once
          atomic { system_call_a -> ring(data_bell, data_edge) }
        :: else ->
          if
          :: closed_b -> goto ended
          :: else
          fi
        fi
      fi
    od;
    a = done;
    if
    :: MAY_STOP ->  // [Binding::close]
      stored_a!CLOSED, 1;
      atomic { system_call_a -> hung_up = true }
    :: true
    fi;
    goto over;
ended:
    assert(hung_up || closed_b);
    a = told;
over:
    false
  } unless { atomic { kill_a -> a = dead } }
}

// ---------------------------------------------------------------------------------------------

inline look_at_tail() {
  atomic {
    assert(tail >= known && tail - my_head <= CAPACITY);  // [PeerCursor::judge]
    known = tail
  }
}

inline arm_for_data() {
  d_step { my_epoch = my_epoch + 1 + (my_epoch & 1); drain_at_times(data_bell) }
  stored_b!WAIT_DATA, my_epoch;
  empty(stored_b)  // @fence: arm for data
}

inline disarm_for_data() {
  my_epoch++;
  stored_b!WAIT_DATA, my_epoch
}

// [Receiver::give_back]
inline give_back() {
  if
  :: given != my_head ->
    given = my_head;
    stored_b!HEAD, given;
    empty(stored_b);  // @fence: give back
    epoch = wait_space;
    if
    :: odd(epoch) && epoch != rung ->
      rung = epoch;
      atomic { system_call_b -> ring(space_bell, space_edge) }  // @ring for space
    :: else
    fi
  :: else
  fi
}

proctype Receiver() {
  byte my_head, given, known, rung, my_epoch, epoch, units;
  mtype woken;
  {
    hello = true;
    do
    :: MAY_STOP -> b = stopped; goto over
    :: MAY_STOP ->  // [Binding::close]
      b = stopped;
      stored_b!CLOSED, 1;
      atomic { system_call_b -> hung_up = true }
      goto over
    :: true ->
      if
      :: my_head == known -> look_at_tail()
      :: else
      fi;
      if
      :: my_head != known
      :: my_head == known ->  // [Receiver::await_news]
        give_back();  // @give back before sleeping
        if
        :: true ->  // [Sleeper::wait_on]
          do
          :: arm_for_data();
            look_at_tail();  // @look again: data
            if
            :: my_head != known -> break
            :: else
            fi;
            b = asleep;
            if
            :: atomic { edge_told(data_bell, data_edge) && !hung_up ->
                 data_edge = false; woken = working; b = working }
            :: atomic { hung_up -> data_edge = false; woken = told; b = working }  // @hang-up: data
            :: atomic { timeouts > 0 -> timeouts--; woken = stopped; b = working }
            fi;
            look_at_tail();  // @look after the hang-up
            if
            :: my_head != known || woken == stopped -> break
            :: my_head == known && woken == told -> goto ended
            :: else
            fi
          od;
          disarm_for_data()
        :: OUTSIDE ->  // [Receiver::no_news_now]
          drain(data_bell);
          arm_for_data();
          look_at_tail();
          if
          :: my_head == known && hung_up ->
            look_at_tail();
            if
            :: my_head == known -> goto ended
            :: else
            fi
          :: my_head == known && !hung_up ->
            // `empty`: the application waits on readable(), level-triggered.
            b = asleep;
            atomic { data_bell > 0 || hung_up -> b = working }
          :: my_head != known
          fi
        fi
      fi;
      if
      :: my_head != known ->
        // [RingReader::record, Receiver::take]: one load of the header, then the payload.
        units = ((slot[my_head % CAPACITY] & 1) -> 1 : 2);
        assert(slot[my_head % CAPACITY] == content(received, units));
        assert(slot[(my_head + units - 1) % CAPACITY] == content(received, units));
        d_step { received++; my_head = my_head + units; consumed = my_head }
        // [RingReader::consume]
        if
        :: my_head - given >= KEEPS || odd(wait_space) -> give_back()
        :: else
        fi
      :: else
      fi
    od;
ended:
    assert(a == dead || closed_a);
    assert(empty(stored_a) && consumed == tail);
    b = told;
over:
    false
  } unless { atomic { kill_b -> b = dead } }
}

// ---------------------------------------------------------------------------------------------

proctype Greeter() {
  {
    atomic { hello -> met = true; greeter_polls = false }
    false
  } unless { kill_a }
}

#define relaxed(buffer, word, place) atomic { buffer??word, value -> place = value }
#define release(buffer, word, place) atomic { buffer?word, value -> place = value }

proctype Machine() {
  byte value;
  do
  :: relaxed(stored_a, SLOT_0, slot[0])
  :: relaxed(stored_a, SLOT_1, slot[1])
  :: relaxed(stored_a, SLOT_2, slot[2])
  :: relaxed(stored_a, SLOT_3, slot[3])
  :: relaxed(stored_a, WAIT_SPACE, wait_space)
  :: release(stored_a, TAIL, tail)
  :: release(stored_a, CLOSED, closed_a)
  :: relaxed(stored_b, WAIT_DATA, wait_data)
  :: release(stored_b, HEAD, head)
  :: release(stored_b, CLOSED, closed_b)
  // What a dead process had stored is seen before the kernel closes what it had open.
  :: atomic { !hung_up && (a == dead && empty(stored_a) || b == dead && empty(stored_b)) ->
       hung_up = true }
  od
}

proctype Killer() {
  if
  :: CRASHES -> kill_a = true
  :: CRASHES -> kill_b = true
  :: true
  fi
}

proctype Observer() {
  timeout -> atomic {
    assert(empty(stored_a) && empty(stored_b));
    // Nobody waits for a dead or closed end.
    assert(!hung_up || (a != asleep && b != asleep));
    // Nobody sleeps over a message.
    assert(b != asleep || consumed == tail && head == consumed);
    // Nobody sleeps over room: then the other's application has stopped receiving.
    assert(a != asleep || b == stopped && consumed != tail);
    assert(a != asleep_for_hello);
    assert(a != working && b != working)
  }
}

init {
  atomic {
    if
    :: GREETER -> greeter_polls = true; run Greeter()
    :: else
    fi;
    run Sender();
    run Receiver();
    run Machine();
    run Killer();
    run Observer()
  }
}
