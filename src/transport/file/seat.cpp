// SPDX-License-Identifier: Apache-2.0
#include "transport/file/seat.hpp"

#include <fcntl.h>
#include <sys/epoll.h>

#include "os/file.hpp"
#include "os/file_watch.hpp"
#include "os/syscall.hpp"

namespace bulkhead::transport::file {
namespace {

Result<Fd> open_shared(const std::string& path) { return os::open_file(path, O_RDWR | O_CREAT); }

class SeatAcceptor final : public Acceptor {
 public:
  SeatAcceptor(std::shared_ptr<Seat> seat, OpenEnd open_end, os::FileWatch watch, Fd epoll,
               os::SignalFd closed, Fd client, const std::string& path)
      : open_end_(std::move(open_end)),
        seat_(std::move(seat)),
        closed_(std::move(closed)),
        watch_(std::move(watch)),
        epoll_(std::move(epoll)),
        client_(std::move(client)),
        sight_(client_, 0, path) {}
  ~SeatAcceptor() override { close(); }

  /// Who came and went before one listened is not a client.
  Result<void> begin() {
    BULKHEAD_TRY(sight_.look());
    if (!sight_.is_open()) accepted_ = sight_.record().session;
    return {};
  }

  Result<std::unique_ptr<Link>> accept(Deadline deadline) override {
    for (;;) {
      {
        const std::lock_guard guard{mutex_};
        if (!seat_) return fail(ErrorKind::closed);
        if (BULKHEAD_TRY(somebody_came())) return take_in();
      }
      const auto events = BULKHEAD_TRY(os::poll_one(epoll_, POLLIN, deadline));
      if (events == 0) return fail(deadline == no_wait ? ErrorKind::empty : ErrorKind::timed_out);
      const std::lock_guard guard{mutex_};
      if (!seat_) return fail(ErrorKind::closed);
      watch_.drain({});
      const std::lock_guard quiet{seat_->mutex};
      seat_->changed.set(false);
    }
  }

  FdView readable() const noexcept override { return epoll_; }

  void close() noexcept override {
    std::shared_ptr<Seat> seat;
    {
      const std::lock_guard guard{mutex_};
      seat = std::move(seat_);
    }
    if (!seat) return;
    {
      const std::lock_guard guard{seat->mutex};
      seat->changed.set(true);
    }
    // A descriptor of its own ends the wait of accept() when the seat has gone with its own.
    closed_.set(true);
  }

 private:
  /// One at a time, and each session once; one that has gone again may have left messages.
  Result<bool> somebody_came() {
    BULKHEAD_TRY(sight_.look());
    const std::lock_guard guard{seat_->mutex};
    return !seat_->taken && sight_.record().session != accepted_;
  }

  Result<std::unique_ptr<Link>> take_in() {
    auto link = BULKHEAD_TRY(open_end_(seat_));
    accepted_ = sight_.record().session;
    const std::lock_guard guard{seat_->mutex};
    seat_->taken = true;
    return link;
  }

  const OpenEnd open_end_;
  std::mutex mutex_;
  std::shared_ptr<Seat> seat_;
  os::SignalFd closed_;
  os::FileWatch watch_;
  Fd epoll_;
  Fd client_;
  os::OwnerSight sight_;
  std::uint64_t accepted_ = 0;
};

}  // namespace

Result<std::shared_ptr<Seat>> Seat::take(const std::string& path) {
  Fd file = BULKHEAD_TRY(open_shared(path));
  auto owner = BULKHEAD_TRY(os::FileOwner::take(std::move(file), 0, path));
  return std::make_shared<Seat>(std::move(owner));
}

void Seat::leave() noexcept {
  const std::lock_guard guard{mutex};
  taken = false;
  changed.set(true);
}

Result<std::unique_ptr<Acceptor>> accept_on(std::shared_ptr<Seat> seat, const std::string& client,
                                            std::optional<std::chrono::milliseconds> look,
                                            OpenEnd open_end) {
  Fd file = BULKHEAD_TRY(open_shared(client));
  BULKHEAD_TRY(seat->changed.open());
  auto watch = BULKHEAD_TRY(os::FileWatch::create(look));
  BULKHEAD_TRY(watch.add(client));
  Fd epoll = Fd::adopt(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return os::failed("make", "epoll descriptor");
  os::SignalFd closed;
  BULKHEAD_TRY(closed.open());
  for (const FdView fd : {watch.fd(), seat->changed.view(), closed.view()}) {
    epoll_event event{.events = EPOLLIN, .data = {.u64 = 0}};
    if (::epoll_ctl(epoll.native(), EPOLL_CTL_ADD, fd.native(), &event) != 0) {
      return os::failed("watch", client);
    }
  }
  seat->changed.set(true);  // who connected before we looked
  auto acceptor =
      std::make_unique<SeatAcceptor>(std::move(seat), std::move(open_end), std::move(watch),
                                     std::move(epoll), std::move(closed), std::move(file), client);
  BULKHEAD_TRY(acceptor->begin());
  return acceptor;
}

}  // namespace bulkhead::transport::file
