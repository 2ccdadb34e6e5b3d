// SPDX-License-Identifier: Apache-2.0
//
// A bulkhead::Channel as a contender: what a program gets, deadlines and checks on.
#pragma once

#include <memory>

#include "bench/job.hpp"

namespace bulkhead::bench {

std::unique_ptr<Variant> shm_channel(const Job& job);
std::unique_ptr<Variant> unix_channel(const Job& job);
std::unique_ptr<Variant> inproc_channel(const Job& job);
std::unique_ptr<Variant> file_channel(const Job& job);
std::unique_ptr<Variant> tcp_channel(const Job& job);
std::unique_ptr<Variant> udp_channel(const Job& job);
std::unique_ptr<Variant> pipe_channel(const Job& job);
std::unique_ptr<Variant> fifo_channel(const Job& job);
std::unique_ptr<Variant> unix_stream_channel(const Job& job);
std::unique_ptr<Variant> mmap_channel(const Job& job);
std::unique_ptr<Variant> posix_mq_channel(const Job& job);
std::unique_ptr<Variant> sysv_mq_channel(const Job& job);

}  // namespace bulkhead::bench
