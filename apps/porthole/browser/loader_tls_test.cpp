// SPDX-License-Identifier: Apache-2.0
//
// https against a real server of OpenSSL's command, with certificates that are made for the test.
#include <array>
#include <asio/io_context.hpp>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <gtest/gtest.h>
#include <memory>
#include <signal.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <bulkhead/fd.hpp>

#include "browser/loader.hpp"
#include "support/census.hpp"
#include "support/watchdog.hpp"

namespace porthole {
namespace {

using bulkhead::ErrorKind;
using bulkhead::Fd;

/// `openssl ARGUMENTS...` with its standard output in a pipe.
class OpenSsl {
 public:
  explicit OpenSsl(std::vector<std::string> arguments) {
    std::vector<char*> argv;
    arguments.insert(arguments.begin(), "openssl");
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return;
    const Fd write_end = Fd::adopt(ends[1]);
    output_.reset(::fdopen(ends[0], "r"));
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::dup2(write_end.native(), STDOUT_FILENO);
    ::close(STDERR_FILENO);
    ::execvp("openssl", argv.data());
    ::_exit(127);
  }
  OpenSsl(const OpenSsl&) = delete;
  OpenSsl& operator=(const OpenSsl&) = delete;
  ~OpenSsl() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    wait();
  }

  /// True when it ended well.
  bool wait() {
    const bulkhead::test::Waiting waiting{"openssl's end"};
    int status = -1;
    if (pid_ > 0) ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return status == 0;
  }
  std::string line() {
    const bulkhead::test::Waiting waiting{"a line of openssl's"};
    std::array<char, 256> text{};
    return std::fgets(text.data(), text.size(), output_.get()) ? text.data() : "";
  }

 private:
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  pid_t pid_ = -1;
  std::unique_ptr<std::FILE, Closer> output_;
};

class LoaderTls : public testing::Test {
 protected:
  void SetUp() override {
    const std::string key = folder_ / "key.pem";
    OpenSsl maker{{"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                   "-nodes", "-days", "1", "-subj", "/CN=a.test", "-addext",
                   "subjectAltName=DNS:a.test", "-keyout", key, "-out", certificate_}};
    ASSERT_TRUE(maker.wait());
    server_ = std::make_unique<OpenSsl>(std::vector<std::string>{
        "s_server", "-accept", "127.0.0.1:0", "-www", "-key", key, "-cert", certificate_});
    for (std::string line = server_->line(); !line.empty(); line = server_->line()) {
      if (!line.starts_with("ACCEPT ")) continue;
      port_ = line.substr(line.rfind(':') + 1);
      port_.pop_back();
      break;
    }
    ASSERT_FALSE(port_.empty());
  }

  bulkhead::Result<Loaded> load(const std::string& scheme_and_host, bool believe) {
    const bulkhead::test::Waiting waiting{"a load by https"};
    const std::string host = scheme_and_host.substr(scheme_and_host.rfind('/') + 1);
    LoaderOptions options{.resolve = {host + ":" + port_ + ":127.0.0.1"}};
    if (believe) options.authorities = certificate_;
    asio::io_context loop{1};
    Loader loader{loop, options};
    std::optional<bulkhead::Result<Loaded>> result;
    const auto load =
        loader.start(scheme_and_host + ":" + port_ + "/", LoadKind::page,
                     {.done = [&](auto loaded) { result.emplace(std::move(loaded)); }});
    while (!result && loop.run_one() != 0) {
    }
    return std::move(*result);
  }

  std::filesystem::path folder_ = bulkhead::test::temporary_folder();
  std::string certificate_ = folder_ / "certificate.pem";
  std::unique_ptr<OpenSsl> server_;
  std::string port_;
};

TEST_F(LoaderTls, a_certificate_that_is_believed_gives_the_page) {
  const auto loaded = load("https://a.test", true);
  ASSERT_TRUE(loaded) << loaded.error();
  EXPECT_EQ(loaded->head.status, 200);
  EXPECT_TRUE(bulkhead::as_text(loaded->body->bytes()).contains("s_server"));
}

TEST_F(LoaderTls, a_certificate_that_is_not_valid_is_told_and_nothing_is_loaded) {
  const auto unknown = load("https://a.test", false);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind(), ErrorKind::denied);
  EXPECT_EQ(unknown.error().cause(), "the certificate of a.test is not valid: it is self-signed");
  const auto another = load("https://b.test", true);
  ASSERT_FALSE(another);
  EXPECT_EQ(another.error().cause(),
            "the certificate of b.test is not valid: it is for another host");
}

TEST_F(LoaderTls, a_server_of_the_other_kind_is_told) {
  const auto plain = load("http://a.test", true);
  EXPECT_FALSE(plain && plain->head.status == 200);
}

}  // namespace
}  // namespace porthole
