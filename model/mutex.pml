// SPDX-License-Identifier: Apache-2.0
//
// Mutex: three threads lock, change and unlock, and may be killed before any step
// (src/memory/robust_lock.cpp). The kernel's part, each call and the end of a thread, is one step, as
// it holds its own lock meanwhile. The names in brackets are the functions.

#define THREADS 3
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#ifndef FORGETS
#define FORGETS 0  // may an owner not repair what a dead one left?
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 0
#endif

#define SOUND 0
#define SUSPECT 1
#define POISONED 2

byte owner;          // the word: who has it, 0 nobody
bool waiters, died;  // the word's flags
byte state;
bit first, second;   // what it protects: the same when nobody has it
bool noted[THREADS + 1], listed[THREADS + 1];  // each thread's robust list: [begin], [add]
bool asleep[THREADS + 1];                      // in the kernel, over the word
bool killed[THREADS + 1], dead[THREADS + 1];
byte deaths, refused, repairs;

#define someone_asleep (asleep[1] || asleep[2] || asleep[3])

// The kernel gives the word to one who waits.
inline hand_over() {
  if
  :: asleep[1] -> owner = 1; asleep[1] = false
  :: asleep[2] -> owner = 2; asleep[2] = false
  :: asleep[3] -> owner = 3; asleep[3] = false
  :: !someone_asleep -> owner = 0
  fi;
  waiters = someone_asleep
}

proctype Thread(byte me) {
  byte rounds;
  {
    do
    :: rounds == ROUNDS -> break
    :: rounds < ROUNDS ->
      rounds++;
      noted[me] = true;  // @note: try
      if                 // [try_lock]
      :: atomic { owner == 0 && !died -> owner = me }; goto got
      :: atomic { else -> skip }
      fi;
      noted[me] = false;
      noted[me] = true;  // @note: wait
      atomic {           // [wait_for_lock], the kernel
        if
        :: owner == 0 -> owner = me
        :: else -> asleep[me] = true; waiters = true
        fi
      }
      if
      :: atomic { owner == me -> skip }
      :: atomic { TIMEOUTS && asleep[me] -> asleep[me] = false }; noted[me] = false; goto over
      fi;
      if                 // [obtained_slowly]
      :: died && state == SOUND -> state = SUSPECT  // @suspect
      :: else
      fi;
      died = false;
got:  listed[me] = true;   // @listed
      noted[me] = false;   // @noted
      if
      :: state == POISONED -> refused++; goto unlock  // @refuse
      :: state == SUSPECT && FORGETS -> goto unlock
      :: state == SUSPECT -> second = first; state = SOUND; repairs++
      :: state == SOUND
      fi;
      assert(owner == me);
      assert(first == second);
      first = 1 - first;
      second = 1 - second;
      assert(owner == me);
unlock:
      if
      :: state == SUSPECT -> state = POISONED  // @poison
      :: else
      fi;
      noted[me] = true;    // @note: unlock
      listed[me] = false;
      if
      :: atomic { owner == me && !waiters && !died -> owner = 0 }
      :: atomic { else -> hand_over() }  // @hand over
      fi;
      noted[me] = false;
over: skip
    od
  } unless {
    atomic {
      killed[me];
      dead[me] = true;
      asleep[me] = false;
      if
      :: owner == me && (noted[me] || listed[me]) -> died = true; hand_over()
      :: else
      fi
    }
  }
}

proctype Killer() {
end:
  do
  :: atomic { deaths < DEATHS && !killed[1] -> deaths++; killed[1] = true }
  :: atomic { deaths < DEATHS && !killed[2] -> deaths++; killed[2] = true }
  :: atomic { deaths < DEATHS && !killed[3] -> deaths++; killed[3] = true }
  od
}

proctype Observer() {
end:
  if
  :: atomic { owner != 0 && dead[owner] -> assert(false) /* kept by the dead */ }
  :: atomic { owner == 0 && someone_asleep -> assert(false) /* asleep over a free lock */ }
  fi
}

init { atomic { run Observer(); run Killer(); run Thread(1); run Thread(2); run Thread(3) } }
