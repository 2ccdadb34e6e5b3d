// SPDX-License-Identifier: Apache-2.0
//
// The whole public API, for programs that do not count their includes. <bulkhead/asio.hpp>, which
// defines the async_ forms and costs a second of compile time, is included where it is used.
#pragma once

#include <bulkhead/address.hpp>
#include <bulkhead/arena.hpp>
#include <bulkhead/barrier.hpp>
#include <bulkhead/bytes.hpp>
#include <bulkhead/channel.hpp>
#include <bulkhead/condition.hpp>
#include <bulkhead/deadline.hpp>
#include <bulkhead/diagnosing.hpp>
#include <bulkhead/error.hpp>
#include <bulkhead/exit.hpp>
#include <bulkhead/fd.hpp>
#include <bulkhead/handle.hpp>
#include <bulkhead/interface.hpp>
#include <bulkhead/isolate.hpp>
#include <bulkhead/latch.hpp>
#include <bulkhead/listener.hpp>
#include <bulkhead/memory_name.hpp>
#include <bulkhead/message.hpp>
#include <bulkhead/mutex.hpp>
#include <bulkhead/names.hpp>
#include <bulkhead/once.hpp>
#include <bulkhead/place.hpp>
#include <bulkhead/pool.hpp>
#include <bulkhead/posix_semaphore.hpp>
#include <bulkhead/process.hpp>
#include <bulkhead/region.hpp>
#include <bulkhead/result.hpp>
#include <bulkhead/sandbox.hpp>
#include <bulkhead/semaphore.hpp>
#include <bulkhead/seqlock.hpp>
#include <bulkhead/service.hpp>
#include <bulkhead/shared.hpp>
#include <bulkhead/shared_mutex.hpp>
#include <bulkhead/shared_region.hpp>
#include <bulkhead/sigbus_guard.hpp>
#include <bulkhead/stream.hpp>
#include <bulkhead/sysv_semaphore.hpp>
#include <bulkhead/trust.hpp>
#include <bulkhead/wait_set.hpp>
#include <bulkhead/wire.hpp>
