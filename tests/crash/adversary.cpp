// SPDX-License-Identifier: Apache-2.0
#include "crash/adversary.hpp"

#include <algorithm>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <map>
#include <memory>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "support/watchdog.hpp"

namespace bulkhead::crash {
namespace {

constexpr std::size_t most_examples = 5;
constexpr int warm_rounds = 3;
constexpr int most_sleeps = 5'000;  // of two milliseconds or more
constexpr std::size_t values = 6;

template <std::size_t N> void put(std::array<char, N>& into, const std::string& text) {
  into.fill('\0');
  std::copy_n(text.begin(), std::min(text.size(), N - 1), into.begin());
}

Board* map_board(FdView file) {
  void* const at =
      ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED, file.native(), 0);
  if (at == MAP_FAILED) throw std::runtime_error{"the board cannot be mapped"};
  return static_cast<Board*>(at);
}

/// What a word may become: nothing, everything, a little more or less, far away.
std::uint64_t value(std::size_t which, std::uint64_t before, std::uint32_t size) {
  const std::uint64_t highest = std::uint64_t{1} << (size * 8 - 1);
  const std::uint64_t all[values] = {0,          ~std::uint64_t{0}, before + 8,
                                     before - 8, before + 1,        before ^ highest};
  return size == 8 ? all[which] : all[which] & 0xffffffff;
}

class Adversary {
 public:
  explicit Adversary(const Trial& trial)
      : trial_(trial), file_(Fd::adopt(::memfd_create("board", MFD_CLOEXEC))) {
    if (::ftruncate(file_.native(), sizeof(Board)) != 0) throw std::runtime_error{"no board"};
    board_ = map_board(file_);
    start();
  }
  Adversary(const Adversary&) = delete;
  Adversary& operator=(const Adversary&) = delete;
  ~Adversary() {
    victim_.reset();
    ::munmap(board_, sizeof(Board));
    std::filesystem::remove_all(attacked_folder());
  }

  std::size_t instructions() const { return at_.size(); }
  std::size_t words() const { return board_->words_count; }
  bool is_call(std::size_t place) const { return calls_[place]; }

  enum class Done : std::uint8_t { changed, same_value, missed };

  /// One round.
  Done change(std::size_t place, std::size_t word, std::size_t which, std::string& wrong) {
    for (int tries = 0; tries < 2; ++tries) {
      try {
        if (reach(place)) return run_round(word, which, wrong);
      } catch (const std::exception& error) {
        wrong = error.what();
        start();
        return Done::changed;
      }
      start();  // another heap, another way; a new one is as the one that was stepped through
    }
    return Done::missed;
  }

 private:
  void start() {
    victim_ =
        std::make_unique<Victim>(std::vector<std::string>{trial_.name}, std::vector<FdView>{file_});
    expect(go(), Mark::begin);
    for (int i = 0; i < warm_rounds; ++i) finish();
    if (at_.empty()) trace();
  }

  /// To the next mark, however long it sleeps on its way (its calls have deadlines).
  Mark go() {
    auto event = victim_->run();
    for (int sleeps = 0; event.stop == Victim::Stop::asleep; ++sleeps) {
      if (sleeps == most_sleeps) throw std::runtime_error{"the victim sleeps for ever"};
      event = victim_->wait();
    }
    return event.mark;
  }
  static void expect(Mark found, Mark wanted) {
    if (found != wanted) throw std::runtime_error{"a mark that should not come here"};
  }
  /// From within a call to the beginning of the next.
  void finish() {
    expect(go(), Mark::end);
    expect(go(), Mark::begin);
  }

  void trace() {
    std::map<std::uint64_t, std::uint32_t> visits;
    for (;;) {
      at_.push_back(victim_->position());
      hits_.push_back(++visits[victim_->position()]);
      calls_.push_back(victim_->at_call());
      auto event = victim_->step();
      while (event.stop == Victim::Stop::asleep) event = victim_->wait();
      if (event.stop == Victim::Stop::mark) break;
    }
    expect(go(), Mark::begin);
  }

  bool reach(std::size_t place) {
    std::size_t from = 0;
    std::size_t least = place;
    for (std::size_t i = 0; i <= place; ++i) {
      const std::size_t cost = 4 * hits_[i] + (place - i);
      if (cost < least) {
        least = cost;
        from = i;
      }
    }
    if (from != 0 && victim_->run_to(at_[from], hits_[from]).stop != Victim::Stop::breakpoint) {
      return false;
    }
    for (std::size_t i = from; i < place; ++i) {
      if (victim_->step().stop != Victim::Stop::step) return false;
    }
    return victim_->position() == at_[place];
  }

  Done run_round(std::size_t word, std::size_t which, std::string& wrong) {
    const Board::Word where = board_->words[word];
    const std::uint64_t before = read(where);
    const std::uint64_t after = value(which, before, where.size);
    if (after != before) {
      write(where, after);
      board_->changed = static_cast<std::uint32_t>(word);
    }
    finish();
    wrong = board_->wrong.data();
    return after != before ? Done::changed : Done::same_value;
  }

  std::uint64_t read(const Board::Word& word) {
    std::uint64_t found = 0;
    move(word, &found, true);
    return found;
  }
  void write(const Board::Word& word, std::uint64_t what) { move(word, &what, false); }

  void move(const Board::Word& word, std::uint64_t* here, bool reads) {
    ssize_t moved = -1;
    if (word.path[0] == '\0') {
      iovec mine{here, word.size};
      iovec theirs{reinterpret_cast<void*>(word.place), word.size};
      moved = reads ? ::process_vm_readv(victim_->pid(), &mine, 1, &theirs, 1, 0)
                    : ::process_vm_writev(victim_->pid(), &mine, 1, &theirs, 1, 0);
    } else {
      const Fd file = Fd::adopt(::open(word.path.data(), O_RDWR | O_CLOEXEC));
      const auto offset = static_cast<off_t>(word.place);
      moved = reads ? ::pread(file.native(), here, word.size, offset)
                    : ::pwrite(file.native(), here, word.size, offset);
    }
    if (moved != static_cast<ssize_t>(word.size)) {
      throw std::runtime_error{std::string{"no such word: "} + word.name.data()};
    }
  }

  const Trial& trial_;
  Fd file_;
  Board* board_ = nullptr;
  std::unique_ptr<Victim> victim_;
  std::vector<std::uint64_t> at_;
  std::vector<std::uint32_t> hits_;
  std::vector<bool> calls_;
};

}  // namespace

void Board::begin_round() {
  words_count = 0;
  changed = nothing;
  wrong.fill('\0');
}

void Board::add(const std::string& name, const void* address, std::uint32_t size) {
  add_in_file(name, "", reinterpret_cast<std::uintptr_t>(address), size);
}

void Board::add_in_file(const std::string& name, const std::string& path, std::uint64_t offset,
                        std::uint32_t size) {
  if (words_count == most_words) throw std::runtime_error{"the board is full"};
  Word& word = words[words_count++];
  put(word.name, name);
  put(word.path, path);
  word.place = offset;
  word.size = size;
}

bool Board::was_changed(std::initializer_list<const char*> names) const {
  return changed != nothing && std::ranges::any_of(names, [&](const char* name) {
           return std::strcmp(words[changed].name.data(), name) == 0;
         });
}

void Board::judge(const std::string& what) {
  if (wrong[0] == '\0') put(wrong, what);
}

void stand(const Trial& trial) {
  Board* const board = map_board(Fd::adopt(3));
  for (;;) trial.round(*board);
}

Onslaught attack(const Trial& trial, const Vehemence& how) {
  Onslaught all;
  try {
    test::watch(trial.name);
    Adversary adversary{trial};
    all.instructions = adversary.instructions();
    all.words = adversary.words();
    const std::size_t every = all.instructions * all.words * values;
    const std::size_t one_of = how.stride == 0 ? 1 : (every / how.most_changes) | 1;
    for (std::size_t place = 0; place < all.instructions; ++place) {
      const bool due = how.stride != 0 && place % how.stride == 0;
      if (!due && !adversary.is_call(place)) continue;
      ++all.places;
      for (std::size_t word = 0; word < all.words; ++word) {
        for (std::size_t which = 0; which < values; ++which) {
          // Words and values shift from place to place, so that each word meets each value.
          if ((place + word * values + which) % one_of != 0) continue;
          test::watch(trial.name);
          std::string wrong;
          const auto done = adversary.change(place, word, which, wrong);
          if (done == Adversary::Done::changed) ++all.changes;
          if (done == Adversary::Done::missed) ++all.missed;
          if (wrong.empty()) continue;
          ++all.violations;
          if (all.examples.size() < most_examples) {
            all.examples.push_back("instruction " + std::to_string(place) + ", word " +
                                   std::to_string(word) + ", value " + std::to_string(which) +
                                   ": " + wrong);
          }
        }
      }
    }
    test::unwatch();
  } catch (const std::exception& error) {
    ++all.violations;
    all.examples.push_back(std::string{"the harness failed: "} + error.what());
  }
  return all;
}

}  // namespace bulkhead::crash
