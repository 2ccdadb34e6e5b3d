// SPDX-License-Identifier: Apache-2.0
//
// What the compiler says about a type that cannot be encoded: one sentence that names the way out.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "wire/specimen.hpp"

namespace bulkhead::wire {
namespace {

struct Base {
  int a;
};
struct Derived : Base {
  int b;
};
struct Reference {
  int a;
  const int& b;
};
struct HoldsPointer {
  std::vector<std::optional<const char*>> names;
};
class Private {
 public:
  int get() const { return a_; }

 private:
  int a_ = 0;
};
union Either {
  int a;
  float b;
};
struct TooMany {
  int f01, f02, f03, f04, f05, f06, f07, f08, f09, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19,
      f20, f21, f22, f23, f24, f25, f26, f27, f28, f29, f30, f31, f32, f33;
};

static_assert(Encodable<Specimen> && Encodable<Tree> && Encodable<const Node>);
static_assert(Encodable<int[3]> && Encodable<std::map<std::string, Tree>>);
static_assert(!Encodable<const char*> && !Encodable<int&> && !Encodable<HoldsPointer>);
static_assert(!Encodable<std::string_view> && !Encodable<std::span<int>>);
static_assert(!Encodable<Derived> && !Encodable<Reference> && !Encodable<Private>);
static_assert(!Encodable<Either> && !Encodable<TooMany> && !Encodable<long double>);
static_assert(!Encodable<std::shared_ptr<int>> && !Encodable<std::multimap<int, int>>);
static_assert(!Encodable<std::function<void()>> && !Encodable<std::unique_ptr<int[]>>);
static_assert(!Encodable<std::vector<std::string_view>>);

/// What the compiler says about a program that uses `code`. Empty when there is no compiler.
std::string compiler_on(const std::string& code) {
  if (std::system("command -v c++ >/dev/null 2>&1") != 0) return {};
  const auto include = std::filesystem::path{__FILE__}.parent_path() / "../../include";
  const std::string command = "c++ -std=gnu++23 -fsyntax-only -I'" + include.string() +
                              "' -x c++ - 2>&1 <<'END'\n" + "#include <bulkhead/wire.hpp>\n" +
                              code + "\nEND\n";
  FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) return {};
  std::string text;
  char buffer[4096];
  while (const std::size_t got = std::fread(buffer, 1, sizeof buffer, pipe)) {
    text.append(buffer, got);
  }
  pclose(pipe);
  return text;
}

TEST(wire_messages, name_the_type_and_the_way_out) {
  const std::string said = compiler_on(R"(
    struct Base { int a; };
    struct Derived : Base { int b; };
    struct Reference { int& a; };
    struct HoldsPointer { std::vector<const char*> names; };
    class Private { int a = 0; };
    union Either { int a; float b; };
    struct Many { int a[1], b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x, y, z,
                  a1, b1, c1, d1, e1, f1, g1; };
    struct Holder { bulkhead::Fd fd; };
    void f(std::vector<std::byte>& out, Derived& a, HoldsPointer& b, Private& c, Either& d, Many& e,
           std::vector<std::string_view>& g, long double& h, const Holder& i, bulkhead::Bytes bytes) {
      bulkhead::wire::Encoder encoder{out};
      (void)encoder.put(a);
      (void)encoder.put(b);
      (void)encoder.put(c);
      (void)encoder.put(d);
      (void)encoder.put(e);
      (void)encoder.put(g);
      (void)encoder.put(h);
      (void)encoder.put(i);
      (void)bulkhead::encode(i);
      (void)bulkhead::decode<Private>(bytes);
      (void)bulkhead::wire::shape_text<int&>();
    }
  )");
  if (said.empty()) GTEST_SKIP() << "no compiler here";
  for (const std::string_view sentence :
       {"make the base its first field", "Bulkhead cannot send a raw pointer",
        "Bulkhead cannot send this class: only plain structs", "use std::variant",
        "more than 32 fields: group them", "use std::string or std::vector, which own them",
        "long double or 128-bit numbers", "the value that holds one must not be const",
        "handles do not fit into bytes", "Bulkhead cannot send a reference",
        "HoldsPointer, const char*"}) {
    EXPECT_NE(said.find(sentence), std::string::npos) << sentence << "\n\n" << said;
  }
  // Nothing but these sentences, each where it belongs: no flood of errors from inside.
  std::size_t errors = 0;
  for (std::size_t at = said.find("error:"); at != std::string::npos;
       at = said.find("error:", at + 1)) {
    ++errors;
  }
  EXPECT_EQ(errors, 10U) << said;
}

}  // namespace
}  // namespace bulkhead::wire
