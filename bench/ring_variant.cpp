// SPDX-License-Identifier: Apache-2.0
//
// Sizes are template arguments: a copy of 64 bytes is then four moves, as a program that has only
// such messages would write it. Capacities are the best of those tried; a ring's cache footprint is
// its capacity, so what is copied goes in pieces that leave room in the cache for the private
// buffers.
#include "bench/ring_variant.hpp"

#include <cstring>
#include <new>

#include "bench/bare_ring.hpp"
#include "bench/payload.hpp"
#include "bench/shared_memory.hpp"

namespace bulkhead::bench {

namespace {

constexpr std::size_t piece_bytes = 16384;

template <std::size_t slot> constexpr std::size_t slots_for() {
  return slot <= 65536 ? 262144 / slot : 4;
}

template <std::size_t bytes, std::size_t slot, class Waiting> class RingVariant : public Variant {
 public:
  explicit RingVariant(const Job& job)
      : job_{job}, client_buffer_{bytes, job.offset}, server_buffer_{bytes, job.offset} {}

  void create() override {
    memory_ = SharedMemory{2 * sizeof(Memory)};
    auto* rings = new (memory_.as<void>()) Memory[2];
    client_ = {};
    server_ = {};
    client_.writer.attach(&rings[0]);
    server_.reader.attach(&rings[0]);
    server_.writer.attach(&rings[1]);
    client_.reader.attach(&rings[1]);
  }

  void client(std::uint64_t count) override {
    if (job_.shape == Shape::one_way) return stream_out(count);
    End end = client_;  // in registers, as far as they go
    for (std::uint64_t i = 0; i < count; ++i) {
      send(end, client_buffer_.data());
      receive(end, client_buffer_.data());
    }
    client_ = end;
  }

  void server(std::uint64_t count) override {
    if (job_.shape == Shape::one_way) return stream_in(count);
    End end = server_;
    for (std::uint64_t i = 0; i < count; ++i) {
      receive(end, server_buffer_.data());
      send(end, server_buffer_.data());
    }
    server_ = end;
  }

 private:
  static constexpr std::size_t slots = slots_for<slot>();
  using Memory = RingMemory<slot, slots>;
  struct alignas(128) End {
    RingWriter<Memory, Waiting, slots> writer;
    RingReader<Memory, Waiting, slots> reader;
  };

  static void send(End& end, const std::byte* message) noexcept {
    for (std::size_t at = 0; at < bytes; at += slot) {
      std::memcpy(end.writer.claim(), message + at, slot);
      end.writer.publish();
    }
  }
  static void receive(End& end, std::byte* into) noexcept {
    for (std::size_t at = 0; at < bytes; at += slot) {
      std::memcpy(into + at, end.reader.next(), slot);
      end.reader.release();
    }
    touched(into);
  }

  void stream_out(std::uint64_t count) noexcept {
    End end = client_;
    if (job_.mode == Mode::in_place) {
      for (std::uint64_t i = 0; i < count; ++i) {
        fill(end.writer.claim(), bytes, i);
        end.writer.publish();
      }
    } else {
      for (std::uint64_t i = 0; i < count; ++i) {
        send(end, client_buffer_.message(i));
      }
    }
    client_ = end;
  }

  void stream_in(std::uint64_t count) noexcept {
    End end = server_;
    if (job_.mode == Mode::in_place) {
      for (std::uint64_t i = 0; i < count; ++i) {
        read_all(end.reader.next(), bytes);
        end.reader.release();
      }
    } else {
      for (std::uint64_t i = 0; i < count; ++i) receive(end, server_buffer_.data());
    }
    server_ = end;
  }

  const Job job_;
  SharedMemory memory_;
  Buffer client_buffer_;
  Buffer server_buffer_;
  End client_;
  End server_;
};

template <std::size_t bytes, std::size_t slot = bytes>
std::unique_ptr<Variant> of_size(const Job& job) {
  const bool one_core = job.placement == Placement::one_core;
  if (job.mode == Mode::sleeping) {
    if (one_core) return std::make_unique<RingVariant<bytes, slot, Sleep>>(job);
    return std::make_unique<RingVariant<bytes, slot, SleepApart>>(job);
  }
  if (one_core) return std::make_unique<RingVariant<bytes, slot, Yield>>(job);
  return std::make_unique<RingVariant<bytes, slot, Spin>>(job);
}

}  // namespace

std::unique_ptr<Variant> bare_ring(const Job& job) {
  switch (job.bytes) {
    case 64:
      return of_size<64>(job);
    case 4096:
      return of_size<4096>(job);
    case 65536:
      return of_size<65536>(job);
    case 1048576:
      return job.mode == Mode::copied ? of_size<1048576, piece_bytes>(job) : of_size<1048576>(job);
    default:
      return nullptr;
  }
}

}  // namespace bulkhead::bench
