// SPDX-License-Identifier: Apache-2.0
//
// LinkWithoutMemory: what mechanisms share that have no memory of their own to lend. A loan is
// built aside and sent by commit(); the deadline of the loan covers that sending too.
#pragma once

#include <bulkhead/message.hpp>

#include "transport/link.hpp"

namespace bulkhead::transport {

class LinkWithoutMemory : public Link {
 public:
  Result<MutableBytes> loan(std::size_t size, Deadline deadline) override {
    if (lent_) return fail(refuse_second_loan());
    BULKHEAD_TRY(await_room(size, deadline));
    aside_.clear();
    const auto room = aside_.resize(size);
    lent_ = true;
    loan_deadline_ = deadline;
    return room;
  }
  Result<void> commit() override {
    lent_ = false;
    return send(aside_.bytes(), {}, loan_deadline_);
  }
  void abandon() noexcept override { lent_ = false; }

 protected:
  /// Returns when a message of `size` bytes would go at once, or begin to.
  virtual Result<void> await_room(std::size_t size, Deadline deadline) = 0;

 private:
  static Error refuse_second_loan() {
    return {ErrorKind::invalid, {.cause = "one loan is out already"}};
  }

  Message aside_;
  Deadline loan_deadline_ = no_wait;
  bool lent_ = false;
};

}  // namespace bulkhead::transport
