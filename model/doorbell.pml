/* SPDX-License-Identifier: Apache-2.0
 *
 * How the two ends of an shm channel sleep and wake each other, as Spin sees it: one ring, its sender
 * and its receiver, each of which may be killed in any state. README.md says what is shown and what
 * is not; docs/protocol/shm.md is the protocol, src/transport/shm/ the code. The names are the code's.
 *
 * Memory is x86's: each process puts its stores into a buffer that goes to memory in order, some time
 * later; a fence waits until it is empty. Each word has one writer, who never reads it back. A killed
 * process's buffer still goes to memory, and then the kernel hangs its socket up.
 * `atomic` never holds more than one access to what is shared.
 *
 * Built with: SOCKET_BELL  bells that can be full (an untrusted sleeper) instead of eventfds
 *             OUTSIDE      the receiver waits in an event loop of its own (readable(), try_receive)
 *             BREAK_...    something left out, to see that it is missed
 */
#ifndef MESSAGES
#define MESSAGES 3
#endif
#define CAPACITY 2 /* of the ring */
#define LAZY 2     /* the receiver gives back so much at once */
/* One message is larger, so that room may come and not be enough. */
#ifndef LARGE
#define LARGE 2
#endif
#define SIZE(message) ((message) == LARGE -> 2 : 1)

/* A bell that can be full holds so many rings; it is emptied once in so many epochs. */
#ifndef BELL_HOLDS
#define BELL_HOLDS 1
#endif
#define EPOCHS_BETWEEN_DRAINS BELL_HOLDS

mtype = { tail_word, head_word, wait_data_word, wait_space_word, closed_word };

/* As the other side sees it. */
byte tail, head, wait_data, wait_space;
bool closed;

chan sender_stores = [2] of { mtype, byte };
chan receiver_stores = [2] of { mtype, byte };

/* A bell: rings in it, and whether epoll has queued a wake-up for its sleeper. */
#define DATA 0
#define SPACE 1
byte rings[2];
bool edge[2];

bool hello;                             /* the receiver has said its own */
bool sender_hung_up, receiver_hung_up;  /* the control socket, as the other end sees it */
bool kill_sender, kill_receiver;
byte taken;                             /* what the receiver has really taken */

#ifdef SOCKET_BELL
#define room_in(bell) (rings[bell] < BELL_HOLDS)
#else
#define room_in(bell) (rings[bell] == 0)
#endif

/* A ring of a full socket wakes nobody; one of an eventfd always does. */
inline ring(bell) {
  atomic {
    if
    :: room_in(bell) -> rings[bell]++; edge[bell] = true
#ifdef SOCKET_BELL
    :: else
#else
    :: else -> edge[bell] = true
#endif
    fi
  }
}

/* A new odd epoch, told and fenced; the caller looks at its cursor after it. */
inline arm(stores, word, bell) {
#if defined(SOCKET_BELL) && !defined(BREAK_DRAIN)
  if
  :: ((epoch + 1) / 2) % EPOCHS_BETWEEN_DRAINS == 0 -> rings[bell] = 0
  :: else
  fi;
#endif
  atomic {
#ifdef BREAK_NEW_EPOCH
    epoch = epoch + (1 - (epoch & 1));
#else
    epoch = epoch + 1 + (epoch & 1);
#endif
    stores!word, epoch
  }
#ifndef BREAK_SLEEPERS_FENCE
  ; empty(stores)
#endif
}

inline disarm(stores, word) {
  atomic { hung_up = false; epoch++; stores!word, epoch }
}

/* epoll_wait, edge-triggered: an entry that is not readable any more is dropped. */
inline sleep_on(bell, other_hung_up) {
  if
  :: atomic { edge[bell] && rings[bell] > 0 -> edge[bell] = false; hung_up = false }
  :: atomic { other_hung_up -> hung_up = true }
  fi
}

/* After a publication: is the peer asleep? At most one ring for each of its epochs. */
inline wake(stores, word, bell) {
#ifndef BREAK_WAKERS_FENCE
  empty(stores);
#endif
  atomic {
    seen = word;
    if
    :: (seen & 1) && seen != rung -> rung = seen; seen = 1
    :: else -> seen = 0
    fi
  }
  if
  :: seen == 1 -> ring(bell); seen = 0
  :: else
  fi
}

proctype Sender() {
  byte message = 0;
  byte sent = 0;      /* the private tail */
  byte accepted = 0;  /* of the peer's head */
  byte epoch = 0, rung = 0, seen = 0;
  bool met = false, hung_up = false;

#define has_room (sent + SIZE(message) - accepted <= CAPACITY)

  {
    do
    :: message == MESSAGES -> break
    :: else ->
       if
       :: !met && hello -> met = true
       :: true /* it comes a moment later */
       fi;
       if
       :: has_room
       :: !has_room && !met ->
          if
          :: hello -> met = true
          :: receiver_hung_up -> goto told
          fi
       :: !has_room && met ->
          accepted = head;
          if
          :: has_room
          :: else ->
             do
             :: arm(sender_stores, wait_space_word, SPACE);
#ifndef BREAK_SECOND_LOOK
                accepted = head;
#endif
                if
                :: has_room -> break
                :: else
                fi;
                sleep_on(SPACE, receiver_hung_up);
                accepted = head;
                if
                :: has_room -> break
                :: !has_room && hung_up -> goto told
                :: else
                fi
             od;
             disarm(sender_stores, wait_space_word)
          fi
       fi;
       if
       :: has_room ->
          assert(sent + SIZE(message) - taken <= CAPACITY); /* what was not read is not overwritten */
          atomic { sent = sent + SIZE(message); message++; sender_stores!tail_word, sent };
          if
          :: met -> wake(sender_stores, wait_data, DATA)
          :: else -> /* whether it sleeps cannot be known yet */
#ifndef BREAK_WAKERS_FENCE
             empty(sender_stores);
#endif
             ring(DATA)
          fi
       :: else
       fi
    od;
    /* It goes on living and says nothing: who waits for one of these must have been woken for it. */
    if
    :: receiver_hung_up
    :: sender_stores!closed_word, 1
    fi;
told:
    atomic { empty(sender_stores); sender_hung_up = true }
  } unless {
    atomic { kill_sender && empty(sender_stores) -> sender_hung_up = true }
  }
}

inline give_back() {
  if
  :: published != taken ->
     atomic { published = taken; receiver_stores!head_word, published };
     wake(receiver_stores, wait_space, SPACE)
  :: else
  fi
}

proctype Receiver() {
  byte message = 0;
  byte published = 0; /* of what was taken */
  byte accepted = 0;  /* of the peer's tail */
  byte epoch = 0, rung = 0, seen = 0;
  bool hung_up = false;

#define has_news (accepted != taken)

  {
    hello = true;
    do
    :: message == MESSAGES -> break
    :: else ->
       if
       :: has_news
       :: else ->
          accepted = tail;
          if
          :: has_news
          :: else ->
#ifndef BREAK_GIVE_BACK
             give_back();
#endif
             do
             ::
#ifdef OUTSIDE
                rings[DATA] = 0;
#endif
                arm(receiver_stores, wait_data_word, DATA);
#ifndef BREAK_SECOND_LOOK
                accepted = tail;
#endif
                if
                :: has_news -> break
                :: else
                fi;
#ifdef OUTSIDE
                if /* level-triggered: readable until it is emptied */
                :: rings[DATA] > 0 -> hung_up = false
                :: sender_hung_up -> hung_up = true
                fi;
#else
                sleep_on(DATA, sender_hung_up);
#endif
#ifndef BREAK_LAST_LOOK
                accepted = tail;
#endif
                if
                :: has_news -> break
                :: !has_news && hung_up -> goto told
                :: else
                fi
             od;
             disarm(receiver_stores, wait_data_word)
          fi
       fi;
       atomic { taken = taken + SIZE(message); message++ };
       if
       :: taken - published >= LAZY -> give_back()
       :: else ->
          if
          :: wait_space & 1 -> give_back()
          :: else
          fi
       fi
    od;
    goto done;
told:
    /* What was published is received before the end is told, and the end is told as it was. */
    assert(taken == tail);
    assert(closed || kill_sender);
    assert(!closed || message == MESSAGES);
done:
    atomic { empty(receiver_stores); receiver_hung_up = true }
  } unless {
    atomic { kill_receiver && empty(receiver_stores) -> receiver_hung_up = true }
  }
}

/* The buffers go to memory, whoever lives. */
active proctype Memory() {
  byte value;
end:
  do
  :: atomic { sender_stores?tail_word, value -> tail = value; value = 0 }
  :: atomic { sender_stores?wait_space_word, value -> wait_space = value; value = 0 }
  :: atomic { sender_stores?closed_word, value -> closed = true; value = 0 }
  :: atomic { receiver_stores?head_word, value -> head = value; value = 0 }
  :: atomic { receiver_stores?wait_data_word, value -> wait_data = value; value = 0 }
  od
}

/* SIGKILL, of either or of none, at any time. */
active proctype Death() {
  if
  :: kill_sender = true
  :: kill_receiver = true
  :: true
  fi
}

init { atomic { run Sender(); run Receiver() } }
