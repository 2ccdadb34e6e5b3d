// SPDX-License-Identifier: Apache-2.0
// Map, Future and Pool's templates.
#pragma once

#include <iterator>
#include <list>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>

#include <bulkhead/detail/pool/call.hpp>
#include <bulkhead/pool.hpp>

namespace bulkhead {

namespace detail {

/// A range given as an rvalue is kept, one given as an lvalue is borrowed.
template <class Range>
using KeptRange =
    std::conditional_t<std::is_lvalue_reference_v<Range>, Range, std::remove_cvref_t<Range>>;

/// Elements of a container that was moved in are moved on; so is what cannot be copied.
template <class Range>
inline constexpr bool owns_elements =
    !std::is_lvalue_reference_v<Range> && std::ranges::range<Range> &&
    !std::ranges::view<std::remove_cvref_t<Range>> && !std::ranges::borrowed_range<Range>;

/// Told at most ten times a second, and once when all is done.
class BULKHEAD_API ProgressTeller {
 public:
  ProgressTeller(ProgressCallback callback, std::optional<std::size_t> total);
  void tell(const PoolState& pool, std::size_t done, std::size_t failed, bool last);

 private:
  ProgressCallback callback_;
  std::optional<std::size_t> total_;
  Deadline::Clock::time_point began_ = Deadline::Clock::now();
  Deadline::Clock::time_point next_ = began_;
  bool told_last_ = false;
};

enum class Order : std::uint8_t { input, completion };

template <auto Function> Request request_for(const TaskOptions& options) {
  static constexpr std::string_view name = role_name<Function>();
  return {.entry = &PooledCall<Function>::run,
          .name = name,
          .options = &options,
          .reproduce = &reproduce<Function>};
}

/// Awaited by Future::async_get; see detail/channel/async_work.hpp.
template <class T> class FutureWork {
 public:
  using Value = T;
  explicit FutureWork(Future<T>& future) noexcept : future_(&future) {}

  Result<T> attempt() {
    if (!future_->ready()) return fail(ErrorKind::empty);
    return future_->get(never);
  }
  Result<FdView> watch() { return detail::watch(future_->task_.pool()); }
  Error give_up(ErrorKind why) { return Error{why, {.operation = "get", .object = "future"}}; }

 private:
  Future<T>* future_;
};

/// Awaited by Map::async_next.
template <auto Function, class Range> class MapWork {
 public:
  using Value = typename Map<Function, Range>::Item*;
  explicit MapWork(Map<Function, Range>& map) noexcept : map_(&map) {}

  Result<Value> attempt() { return map_->try_next(); }
  Result<FdView> watch() { return detail::watch(*map_->pool_); }
  Error give_up(ErrorKind why) { return Error{why, {.operation = "get next of map"}}; }

 private:
  Map<Function, Range>* map_;
};

}  // namespace detail

template <auto Function, class Range> class Map {
  using Call = detail::PooledCall<Function>;
  using Kept = detail::KeptRange<Range>;
  using Source = std::remove_reference_t<Kept>;
  using Reference = decltype(*std::declval<Source&>().begin());
  using Input = std::remove_cvref_t<Reference>;

 public:
  using Item = std::pair<Input, typename Call::Wrapped>;

  class Iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = Item;
    using difference_type = std::ptrdiff_t;

    Item& operator*() const { return map_->current_->item; }
    Item* operator->() const { return &map_->current_->item; }
    Iterator& operator++() {
      map_->advance();
      return *this;
    }
    void operator++(int) { map_->advance(); }
    bool operator==(std::default_sentinel_t) const { return !map_->current_; }

   private:
    friend class Map;
    explicit Iterator(Map* map) : map_(map) {}
    Map* map_;
  };

  /// Waits for the first answer. Once: it is an input range.
  Iterator begin() {
    if (!current_) advance();
    return Iterator{this};
  }
  std::default_sentinel_t end() const noexcept { return {}; }

  /// The next answer: null at the end, `timed_out` when the deadline came first. Valid until the next.
  Result<Item*> next(Deadline deadline) {
    current_.reset();
    fill();
    if (entries_.empty()) return at_end();
    if (!await_one(deadline)) return fail(ErrorKind::timed_out, {.operation = "get next of map"});
    take_one();
    return &current_->item;
  }

  /// As next, for an event loop: completion signature void(Result<Item*>); include
  /// <bulkhead/asio.hpp>. The Map must stay.
  template <class Token> auto async_next(Token&& token);

  /// What has not been delivered will not be, but as `cancelled`; no more is taken from the range.
  void cancel() {
    exhausted_ = true;
    for (auto& entry : entries_) detail::cancel(*pool_, *entry.task);
  }

  Map(Map&&) = delete;
  ~Map() {
    for (auto& entry : entries_) detail::leave_group(*entry.task);
  }

 private:
  friend class Pool;
  friend class detail::MapWork<Function, Range>;
  struct Entry {
    explicit Entry(Input input) : item(std::move(input), fail(ErrorKind::empty)) {}
    Item item;
    detail::TaskHold task;
    typename std::list<Entry>::iterator self;
  };

  Map(std::shared_ptr<detail::PoolState> pool, Range&& inputs, MapOptions options,
      detail::Order order)
      : pool_(std::move(pool)),
        inputs_(std::forward<Range>(inputs)),
        options_(std::move(options.task)),
        window_(options.in_flight),
        order_(order),
        teller_(std::move(options.progress), size_of(inputs_)) {}

  static std::optional<std::size_t> size_of(Source& range) {
    if constexpr (std::ranges::sized_range<Source&>) {
      return std::ranges::size(range);
    } else {
      static_cast<void>(range);
      return std::nullopt;
    }
  }

  void advance() { static_cast<void>(next(never)); }

  /// Takes inputs while there is room: an input range may be endless.
  void fill() {
    const std::size_t window = window_ != 0 ? window_ : detail::default_window(*pool_);
    while (!exhausted_ && entries_.size() < window) {
      if (!at_) {
        at_.emplace(inputs_.begin());
      } else {
        ++*at_;
      }
      if (*at_ == inputs_.end()) {
        exhausted_ = true;
        return;
      }
      add();
    }
  }

  Input take_input() {
    if constexpr (detail::owns_elements<Range> || !std::is_copy_constructible_v<Input>) {
      return std::move(**at_);
    } else {
      return **at_;
    }
  }

  void add() {
    Entry& entry = entries_.emplace_back(take_input());
    entry.self = std::prev(entries_.end());
    auto request = detail::request_for<Function>(options_);
    auto put = Call::put_input(request, entry.item.first);
    // In the order of the inputs nobody asks which one ended.
    auto* group = order_ == detail::Order::completion ? &group_ : nullptr;
    entry.task = put ? detail::submit(pool_, std::move(request), group, &entry)
                     : detail::submit_failed(pool_, std::move(put).error(), group, &entry);
  }

  bool await_one(Deadline deadline) {
    if (order_ == detail::Order::input) {
      return detail::await_end(*pool_, *entries_.front().task, deadline);
    }
    return detail::await_any(*pool_, group_, deadline);
  }

  /// `empty` when none has come yet.
  Result<Item*> try_next() {
    current_.reset();
    fill();
    if (entries_.empty()) return at_end();
    const auto has_come = [&] {
      return order_ == detail::Order::input ? detail::ended(*entries_.front().task)
                                            : !group_.ended.empty();
    };
    if (!has_come()) detail::drive_once(*pool_);
    if (!has_come()) return fail(ErrorKind::empty);
    take_one();
    return &current_->item;
  }

  /// Only here it is known that an input range without a size has no more.
  Item* at_end() {
    teller_.tell(*pool_, delivered_, failed_, true);
    return nullptr;
  }

  void take_one() {
    auto at = entries_.begin();
    if (order_ == detail::Order::completion) {
      at = static_cast<Entry*>(detail::owner_of(*group_.ended.front()))->self;
      group_.ended.pop_front();
    }
    current_.emplace(std::move(*at));
    entries_.erase(at);
    auto& [input, result] = current_->item;
    result = Call::result_of(*current_->task);
    give_back(input);
    current_->task = {};
    ++delivered_;
    failed_ += result ? 0u : 1u;
    teller_.tell(*pool_, delivered_, failed_, exhausted_ && entries_.empty());
  }

  /// An input with handles lent them to its task.
  void give_back(Input& input) {
    if constexpr (Call::parameters == 1 &&
                  std::is_same_v<std::tuple_element_t<0, typename Call::Parameters>, Input>) {
      if constexpr (wire::carries_handles<Input> && std::is_move_assignable_v<Input>) {
        auto& request = detail::request_of(*current_->task);
        if (request.bytes.empty()) return;
        wire::Decoder decoder{Bytes{request.bytes}.subspan(detail::task_header_bytes),
                              request.handles, Trust::equal};
        if (auto kept = decoder.template get<Input>()) input = *std::move(kept);
      }
    }
  }

  std::shared_ptr<detail::PoolState> pool_;
  Kept inputs_;
  TaskOptions options_;
  std::size_t window_;
  detail::Order order_;
  detail::ProgressTeller teller_;
  std::optional<decltype(std::declval<Source&>().begin())> at_;
  bool exhausted_ = false;
  detail::Group group_;
  std::list<Entry> entries_;
  std::optional<Entry> current_;
  std::size_t delivered_ = 0;
  std::size_t failed_ = 0;
};

template <class T> Result<T> Future<T>::get(Deadline deadline) {
  if (!task_)
    return fail(ErrorKind::invalid, {.operation = "get", .cause = "it was taken already"});
  if (!detail::await_end(task_.pool(), *task_, deadline)) {
    return fail(ErrorKind::timed_out, {.operation = "get", .object = "future"});
  }
  auto result = decode_(*task_);
  task_ = {};
  return result;
}

template <class T> bool Future<T>::ready() {
  if (!task_) return true;
  if (!detail::ended(*task_)) detail::drive_once(task_.pool());
  return detail::ended(*task_);
}

template <class T> void Future<T>::cancel() {
  if (task_) detail::cancel(task_.pool(), *task_);
}

template <auto Function, class Range>
Map<Function, Range> Pool::map(Range&& inputs, MapOptions options) {
  return {state_, std::forward<Range>(inputs), std::move(options), detail::Order::input};
}

template <auto Function, class Range>
Map<Function, Range> Pool::map_unordered(Range&& inputs, MapOptions options) {
  return {state_, std::forward<Range>(inputs), std::move(options), detail::Order::completion};
}

template <auto Function, class... A> auto Pool::submit(TaskOptions options, A&&... arguments) {
  using Call = detail::PooledCall<Function>;
  auto request = detail::request_for<Function>(options);
  auto put = Call::put(request, std::forward<A>(arguments)...);
  return Future<typename Call::Value>{put ? detail::submit(state_, std::move(request))
                                          : detail::submit_failed(state_, std::move(put).error()),
                                      &Call::result_of};
}

template <auto Function, class... A> Initializer initializer(A&&... arguments) {
  using Signature = detail::IsolatedSignature<std::remove_cvref_t<decltype(Function)>>;
  auto* parameters = static_cast<typename Signature::Parameters*>(nullptr);
  return {detail::initializer_of<Function>(parameters),
          detail::arguments_as(parameters, std::forward<A>(arguments)...)};
}

}  // namespace bulkhead
