// SPDX-License-Identifier: Apache-2.0
#include "renderer/plugin_client.hpp"

#include <utility>

#include <bulkhead/asio.hpp>

namespace porthole {
namespace {

/// So often a plugin may die on one page before the page does without it.
constexpr int max_deaths = 6;
constexpr std::size_t max_html = 64 << 20;
constexpr auto ignore = [](const bulkhead::Result<void>&) {};  // the main channel tells of an end

bool is_gone(const bulkhead::Error& error) {
  return error == bulkhead::ErrorKind::peer_died || error == bulkhead::ErrorKind::closed ||
         error == bulkhead::ErrorKind::corrupt;
}

std::string words_of(std::chrono::milliseconds time) {
  return std::to_string(time.count()) + " ms";
}

}  // namespace

std::string fault_of(const PluginOutput& output) {
  if (!output.pixels) {
    if (output.html.size() > max_html) return "the plugin returned a document that is too long";
    return output.html.empty() ? "the plugin returned nothing" : "";
  }
  const Size size = output.size;
  if (size.width <= 0 || size.height <= 0 || size.width > max_picture_side ||
      size.height > max_picture_side ||
      std::int64_t{size.width} * size.height > max_picture_pixels) {
    return "the plugin returned a picture of an impossible size";
  }
  if (output.pixels->state() != bulkhead::Region::State::frozen) {
    return "the plugin returned a picture that it can still change";
  }
  const auto needed =
      std::size_t{4} * static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height);
  return output.pixels->size() < needed ? "the plugin returned fewer pixels than it said" : "";
}

Plugins::Plugins(asio::io_context& loop, bulkhead::Channel browser,
                 std::chrono::milliseconds patience)
    : loop_(loop), patience_(patience), channel_(std::move(browser)) {
  bulkhead::async_serve<PluginUser>(channel_, *this, asio::bind_executor(loop_, ignore));
}

void Plugins::render(const std::string& mime_type, bulkhead::Region content, Then then) {
  auto& lane = lanes_[mime_type];
  if (!lane) {
    lane = std::make_shared<Lane>();
    lane->mime_type = mime_type;
  }
  lane->jobs.push_back({.content = std::move(content), .then = std::move(then), .deaths = 0});
  // Not from within the call: whoever asks is not ready for the answer yet.
  asio::post(loop_, [this, lane] { go_on(lane); });
}

void Plugins::reset() {
  for (auto at = lanes_.begin(); at != lanes_.end();) {
    Lane& lane = *at->second;
    lane.jobs.clear();
    lane.deaths = 0;  // they are counted for a page
    // A call that is still out would make the next page's pictures wait: that plugin is let go.
    at = lane.is_calling || lane.asked || !lane.given_up.empty() ? lanes_.erase(at) : std::next(at);
  }
}

std::size_t Plugins::under_way() const noexcept {
  std::size_t count = 0;
  for (const auto& [type, lane] : lanes_) count += lane->jobs.size();
  return count;
}

void Plugins::go_on(const std::shared_ptr<Lane>& lane) {
  if (lane->jobs.empty() || lane->is_calling || lane->asked) return;
  if (!lane->given_up.empty()) return fail_all(lane, lane->given_up);
  if (lane->connection) return call(lane);
  lane->asked = RequestId{++last_id_};
  broker_.async_acquire(*lane->asked, lane->mime_type, asio::bind_executor(loop_, ignore));
}

void Plugins::call(const std::shared_ptr<Lane>& lane) {
  auto content = lane->jobs.front().content.duplicate();
  if (!content) return finish_first(lane, std::unexpected(content.error().sentence()));
  PluginInput input{.mime_type = lane->mime_type, .bytes = *std::move(content), .wanted = {}};
  lane->is_calling = true;
  const auto remote = bulkhead::within(bulkhead::Deadline{patience_}, lane->connection->remote);
  remote.async_render(
      std::move(input),
      asio::bind_executor(loop_, [this, lane](bulkhead::Result<PluginOutput> output) {
        lane->is_calling = false;
        if (!lane->jobs.empty()) answered(lane, std::move(output));
      }));
}

void Plugins::answered(const std::shared_ptr<Lane>& lane, bulkhead::Result<PluginOutput> output) {
  if (output) {
    std::string fault = fault_of(*output);
    if (fault.empty()) return finish_first(lane, *std::move(output));
    return finish_first(lane, std::unexpected(std::move(fault)));
  }
  const bulkhead::Error& error = output.error();
  if (error == bulkhead::ErrorKind::timed_out) {
    lane->connection.reset();
    lane->given_up =
        "the plugin for " + lane->mime_type + " did not answer within " + words_of(patience_);
    return fail_all(lane, lane->given_up);
  }
  if (!is_gone(error)) return finish_first(lane, std::unexpected(error.sentence()));
  lane->connection.reset();
  if (++lane->deaths >= max_deaths) {
    lane->given_up = "the plugin for " + lane->mime_type + " died too often";
    return fail_all(lane, lane->given_up);
  }
  if (lane->jobs.front().deaths++ == 0) return go_on(lane);
  finish_first(lane,
               std::unexpected("the plugin for " + lane->mime_type + " died: " + error.sentence()));
}

void Plugins::finish_first(const std::shared_ptr<Lane>& lane, Outcome outcome) {
  const Then then = std::move(lane->jobs.front().then);
  lane->jobs.pop_front();
  go_on(lane);  // the next one works while this one is looked at
  then(std::move(outcome));
}

void Plugins::fail_all(const std::shared_ptr<Lane>& lane, const std::string& reason) {
  for (Job& job : std::exchange(lane->jobs, {})) job.then(std::unexpected(reason));
}

std::shared_ptr<Plugins::Lane> Plugins::lane_that_asked(RequestId id) {
  for (const auto& [type, lane] : lanes_) {
    if (lane->asked == id) {
      lane->asked.reset();
      return lane;
    }
  }
  return nullptr;
}

void Plugins::granted(RequestId id, std::string, bulkhead::Channel plugin) {
  const auto lane = lane_that_asked(id);
  if (!lane) return;
  // It came from the browser, whom we trust; the other end is a plugin, whom we do not.
  auto handle = std::move(plugin).into_handle();
  if (!handle) return fail_all(lane, handle.error().sentence());
  auto channel = bulkhead::Channel::from_handle(*std::move(handle), bulkhead::Trust::untrusted);
  if (!channel) return fail_all(lane, channel.error().sentence());
  lane->connection = std::make_shared<Connection>(*std::move(channel));
  go_on(lane);
}

void Plugins::refused(RequestId id, std::string reason) {
  if (const auto lane = lane_that_asked(id)) fail_all(lane, reason);
}

}  // namespace porthole
