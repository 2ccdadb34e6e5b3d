// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "process/bootstrap_state.hpp"
#include "sandbox/tighten.hpp"

namespace bulkhead {
namespace {

template <class Items>
auto take(Items& items, std::string_view name, const char* kind)
    -> Result<decltype(items.front().thing)> {
  const auto found = std::ranges::find(items, name, [](const auto& item) { return item.name; });
  if (found == items.end()) {
    return fail(ErrorKind::not_found,
                {.operation = "take",
                 .object = std::string(kind) + " " + std::string(name),
                 .cause = "none of that name was handed to this role, or it was taken before"});
  }
  auto thing = std::move(found->thing);
  items.erase(found);
  return thing;
}

}  // namespace

Bootstrap::Bootstrap(std::unique_ptr<detail::BootstrapState> state) noexcept
    : state_(std::move(state)) {}
Bootstrap::~Bootstrap() = default;

const std::string& Bootstrap::name() const noexcept { return state_->name; }
Placement Bootstrap::placement() const noexcept { return state_->placement; }
const SandboxReport& Bootstrap::sandbox_report() const noexcept { return state_->report; }
Channel& Bootstrap::channel() noexcept { return state_->channel; }

Result<SandboxReport> Bootstrap::tighten(const Sandbox& stricter) {
  if (state_->placement == Placement::thread) return state_->report;
  state_->report = BULKHEAD_TRY(sandbox::tighten(state_->sandbox, stricter, state_->report));
  state_->sandbox = stricter;
  return state_->report;
}

Result<Channel> Bootstrap::channel(std::string_view name) {
  return take(state_->channels, name, "channel");
}
Result<Region> Bootstrap::region(std::string_view name) {
  return take(state_->regions, name, "region");
}
Result<Fd> Bootstrap::descriptor(std::string_view name) {
  return take(state_->descriptors, name, "descriptor");
}

Result<Arguments> Bootstrap::take_arguments(std::uint64_t shape) {
  const Error::Details about{.operation = "read", .object = "arguments of role " + state_->name};
  if (!state_->arguments) {
    auto details = about;
    details.cause = "they have been read already";
    return fail(ErrorKind::invalid, std::move(details));
  }
  if (state_->arguments->shape != shape) {
    auto details = about;
    details.cause = "spawn was given values of other types";
    details.remedy = "name the same types in the same order on both sides";
    return fail(ErrorKind::incompatible, std::move(details));
  }
  Arguments taken = *std::move(state_->arguments);
  state_->arguments.reset();
  return taken;
}

}  // namespace bulkhead
