// SPDX-License-Identifier: Apache-2.0
#include "browser/renderer_claims.hpp"

#include <gtest/gtest.h>

namespace porthole {
namespace {

using About = RendererClaims::About;

constexpr NavigationId first{7};
constexpr NavigationId second{9};
constexpr NavigationId foreign{8};
constexpr Size page{.width = 800, .height = 3000};

ResourceRequest request(std::uint64_t id, NavigationId navigation = first) {
  return {.id = RequestId{id}, .navigation = navigation, .url = "http://localhost/a.png"};
}

struct renderer_claims : testing::Test {
  renderer_claims() { claims.committed(first); }
  RendererClaims claims;
};

TEST_F(renderer_claims, an_honest_page_is_believed) {
  EXPECT_EQ(claims.start(request(1)), About::present);
  EXPECT_EQ(claims.did_commit(first, "Title"), About::present);
  EXPECT_EQ(claims.did_paint(first, 1, page), About::present);
  EXPECT_EQ(claims.did_paint(first, 1, page), About::present);
  EXPECT_EQ(claims.did_paint(first, 5, page), About::present);
  EXPECT_EQ(claims.report(first, "no font"), About::present);
  EXPECT_EQ(claims.began_navigation("http://localhost/next"), About::present);
  EXPECT_TRUE(claims.cancel(RequestId{1}));
}

TEST_F(renderer_claims, what_crossed_the_next_commit_on_its_way_is_true_but_past) {
  EXPECT_EQ(claims.did_commit(first, ""), About::present);
  claims.committed(second);
  EXPECT_EQ(claims.did_paint(first, 1, page), About::past);
  EXPECT_EQ(claims.did_commit(first, ""), About::past);
  EXPECT_EQ(claims.start(request(1)), About::past);
  EXPECT_EQ(claims.report(first, ""), About::past);
  EXPECT_EQ(claims.did_commit(second, ""), About::present);
  EXPECT_EQ(claims.did_paint(second, 2, page), About::present);
}

TEST_F(renderer_claims, another_process_s_navigation_is_a_lie) {
  EXPECT_EQ(claims.did_commit(foreign, "").error(),
            "did_commit names navigation 8, which is not this process's");
  EXPECT_FALSE(claims.did_paint(foreign, 1, page));
  EXPECT_FALSE(claims.report(foreign, ""));
  EXPECT_FALSE(claims.start(request(1, foreign)));
}

TEST_F(renderer_claims, the_order_of_things_cannot_be_changed) {
  EXPECT_FALSE(claims.did_paint(first, 1, page)) << "nothing was parsed";
  EXPECT_TRUE(claims.did_commit(first, ""));
  EXPECT_FALSE(claims.did_commit(first, "")) << "twice";
  EXPECT_TRUE(claims.did_paint(first, 4, page));
  EXPECT_FALSE(claims.did_paint(first, 3, page)) << "frames go on";
  EXPECT_FALSE(claims.did_paint(first, 0, page)) << "frames begin at 1";
}

TEST_F(renderer_claims, absurd_numbers_and_lengths_are_lies) {
  EXPECT_TRUE(claims.did_commit(first, ""));
  EXPECT_FALSE(claims.did_paint(first, 1, {.width = -1, .height = 10}));
  EXPECT_FALSE(claims.did_paint(first, 1, {.width = 10, .height = max_page_side + 1}));
  EXPECT_FALSE(claims.report(first, std::string(1 << 17, 'x')));
  EXPECT_FALSE(claims.began_navigation(""));
  auto odd = request(1);
  odd.kind = static_cast<ResourceKind>(77);
  EXPECT_FALSE(claims.start(odd));
  odd = request(2);
  odd.url.clear();
  EXPECT_FALSE(claims.start(odd));
}

TEST_F(renderer_claims, a_request_s_number_is_used_once_and_cancelled_only_by_who_made_it) {
  EXPECT_FALSE(claims.cancel(RequestId{1}));
  EXPECT_TRUE(claims.start(request(1)));
  EXPECT_FALSE(claims.start(request(1)));
  EXPECT_TRUE(claims.cancel(RequestId{1}));
  EXPECT_FALSE(claims.start(request(1))) << "not again either";
}

TEST(renderer_claims_of_nothing, before_any_page_everything_is_a_lie) {
  RendererClaims claims;
  EXPECT_FALSE(claims.did_commit(first, ""));
  EXPECT_FALSE(claims.began_navigation("http://localhost/"));
  EXPECT_FALSE(claims.start(request(1)));
}

}  // namespace
}  // namespace porthole
