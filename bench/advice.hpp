// SPDX-License-Identifier: Apache-2.0
//
// Advice: which mechanism for a size, a rate, a topology and needs, from measured lines. Pure: no
// clock, no machine, no file; what a mechanism can do comes from capabilities() alone.
//
// Of those that meet every need and carry the rate, the one that takes the least processor time is
// recommended. Costs that differ by less than a quarter, which is what one measuring differs from the
// next, or by half a percent of a core are the same; then the quicker one (by a quarter, too) is taken,
// and of two that are the same in that as well the one that can do more: needs grow. A mechanism that
// leaves its messages in files where that is not needed comes behind all others: files have to be
// cleared away, and to another machine they go through a file server, which was not measured.
//
// What a topology makes of one measured connection, `rate` being all messages that are sent in a
// second, N and M being `many`:
//   1:1  one connection.
//   N:1  N connections with rate/N each; the receiver has to take the whole rate.
//   1:N  every message goes to each of N: N sendings, except where what was sent stays for any number
//        of readers (a log), which is one sending; the sender has to manage all of them.
//   N:M  each message goes to one of M; N x M connections, the rate shared among them.
// With both ways every message has an answer of the same size.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <bulkhead/channel.hpp>

#include "bench/advice_lines.hpp"

namespace bulkhead::bench {

enum class Topology { one_to_one, many_to_one, one_to_many, many_to_many };

struct Question {
  std::size_t bytes = 0;
  double rate = 0;
  Topology topology = Topology::one_to_one;
  std::size_t many = 1;     // N, and M
  Capabilities needs = {};  // beside what the topology needs
  bool may_lose = false;    // else it must be reliable
  bool untrusted = false;   // changes words, not figures: what is received is a private copy anyway
};

/// What the question needs, the topology's share and reliability included.
Capabilities needs_of(const Question& question);

/// One that meets all needs, with what it would cost.
struct Candidate {
  Mechanism mechanism = Mechanism::shm;
  Estimate estimate;                 // of one connection at its share of the rate
  double send_share = 0;             // of a core, of all senders together
  double receive_share = 0;          // of all receivers together
  double capacity = 0;               // what `rate` could be at most
  std::optional<double> delay_ns{};  // there; with both ways there and back
  bool carries = false;              // the rate that is asked
  /// It leaves its messages in files, and nobody asked for that: behind all others.
  bool leaves_files = false;

  double share() const { return send_share + receive_share; }
};

/// One that is out of the question, and by what it lacks; or that could not be measured.
struct Refused {
  Mechanism mechanism = Mechanism::shm;
  std::vector<std::string> lacks{};  // in words: "priority", "reliable delivery"
  std::string unmeasured{};          // why, where it lacks nothing
};

/// Shared memory or a queue (the cheapest candidate that is not shared memory). Worth it is what
/// saves at least `worth_share` of a core, or what the queue cannot carry.
struct Rule {
  static constexpr double worth_share = 0.05;

  bool memory_qualifies = false;
  std::optional<Mechanism> queue;         // the rest is empty without it
  std::optional<double> from_rate;        // at the size that is asked: worth it from there on
  std::optional<std::size_t> from_bytes;  // at the rate that is asked
  double saves = 0;                       // at both: the queue's share less shared memory's
};

struct Advice {
  Question question{};
  std::vector<Candidate> ranked{};    // the recommended one first; those that do not carry it last
  std::vector<Mechanism> as_cheap{};  // those that cost the same as the recommended one
  std::vector<Refused> refused{};
  Rule rule{};
  /// Not empty: nothing is recommended, and this sentence says which need nobody meets and who comes
  /// nearest.
  std::string impossible{};
  std::optional<Mechanism> nearest{};

  const Candidate* recommended() const {
    return impossible.empty() && !ranked.empty() ? &ranked.front() : nullptr;
  }
  /// The second best; null when nobody else would do.
  const Candidate* next() const {
    const Candidate* first = recommended();
    return first && ranked.size() > 1 && as_good(ranked[1]) ? &ranked[1] : nullptr;
  }
  /// It meets all that the recommended one does, and in the same way.
  bool as_good(const Candidate& other) const {
    return other.carries && other.leaves_files == ranked.front().leaves_files;
  }
  /// The one whose messages arrive the soonest, where that is twice as soon as the recommended one's.
  const Candidate* quickest() const;
};

Advice advise(const Question& question, const Measurements& measurements);

/// "priority", "another machine", ...: what a question can need, in words.
std::vector<std::string> words_of(const Capabilities& needs);

/// Figures as they are said aloud: "4 KiB", "12,000", "3.1 % of a core", "8.2 µs".
std::string bytes_in_words(std::size_t bytes);
std::string rate_in_words(double rate);
std::string share_in_words(double share);
std::string time_in_words(double ns);

}  // namespace bulkhead::bench
