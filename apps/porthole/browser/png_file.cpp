// SPDX-License-Identifier: Apache-2.0
#include "browser/png_file.hpp"

#include <cerrno>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <fcntl.h>
#include <memory>
#include <png.h>
#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace porthole {

using namespace bulkhead;

namespace {

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

Error failed(const std::filesystem::path& file, int number) {
  return Error::from_errno(number, {.operation = "write", .object = file.string()});
}

/// A file beside the place of the wanted one, which goes away unless it is renamed to it.
class Draft {
 public:
  explicit Draft(const std::filesystem::path& wanted) : wanted_(wanted) {}
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  ~Draft() {
    if (file_) ::unlink(name_.c_str());
  }

  Result<void> open() {
    std::error_code unknown;
    const auto there = std::filesystem::status(wanted_, unknown);
    if (std::filesystem::exists(there) && !std::filesystem::is_regular_file(there)) {
      return fail(ErrorKind::invalid, {.operation = "write",
                                       .object = wanted_.string(),
                                       .cause = "it is there and is not a file"});
    }
    // mkstemp would make it readable for the user alone.
    int fd = -1;
    for (int number = 0; number < 100 && fd < 0; ++number) {
      name_ =
          wanted_.string() + ".part-" + std::to_string(::getpid()) + "-" + std::to_string(number);
      fd = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (fd < 0 && errno != EEXIST) break;
    }
    if (fd < 0) return fail(failed(wanted_, errno));
    file_.reset(::fdopen(fd, "wb"));
    if (file_) return {};
    const int number = errno;
    ::close(fd);
    ::unlink(name_.c_str());
    return fail(failed(wanted_, number));
  }
  std::FILE* file() { return file_.get(); }

  Result<void> put_in_place() {
    if (std::fflush(file_.get()) != 0) return fail(failed(wanted_, errno));
    if (std::rename(name_.c_str(), wanted_.c_str()) != 0) return fail(failed(wanted_, errno));
    file_.reset();
    return {};
  }

 private:
  const std::filesystem::path& wanted_;
  std::string name_;
  File file_;
};

/// From colours multiplied by alpha to what PNG has.
std::vector<png_byte> row_of(const std::uint32_t* pixels, std::size_t width) {
  std::vector<png_byte> row(width * 4);
  for (std::size_t x = 0; x < width; ++x) {
    const std::uint32_t alpha = pixels[x] >> 24;
    const auto part = [&](unsigned shift) {
      const std::uint32_t value = (pixels[x] >> shift) & 0xff;
      const std::uint32_t plain = alpha == 0 ? 0 : (value * 255 + alpha / 2) / alpha;
      return static_cast<png_byte>(plain > 255 ? 255 : plain);
    };
    row[4 * x] = part(16);
    row[4 * x + 1] = part(8);
    row[4 * x + 2] = part(0);
    row[4 * x + 3] = static_cast<png_byte>(alpha);
  }
  return row;
}

/// libpng leaves by longjmp when it fails: so nothing in here has a destructor but what is made
/// outside of it. False: it failed, `errno` is as the file system left it.
bool encode(png_structp png, png_infop info, std::FILE* file, Size size,
            const std::uint32_t* pixels, std::vector<png_byte>& row) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_init_io(png, file);
  png_set_IHDR(png, info, static_cast<png_uint_32>(size.width),
               static_cast<png_uint_32>(size.height), 8, PNG_COLOR_TYPE_RGB_ALPHA,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_set_compression_level(png, 3);
  png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_SUB);
  png_write_info(png, info);
  const auto width = static_cast<std::size_t>(size.width);
  for (std::int32_t y = 0; y < size.height; ++y) {
    row = row_of(pixels + static_cast<std::size_t>(y) * width, width);
    png_write_row(png, row.data());
  }
  png_write_end(png, info);
  return true;
}

void say_nothing(png_structp, png_const_charp) {}
void leave(png_structp png, png_const_charp) { png_longjmp(png, 1); }

Result<void> write_to(std::FILE* file, Size size, Bytes pixels, const std::filesystem::path& name) {
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, leave, say_nothing);
  png_infop info = png != nullptr ? png_create_info_struct(png) : nullptr;
  std::vector<png_byte> row;
  errno = 0;
  const bool done =
      info != nullptr &&
      encode(png, info, file, size, reinterpret_cast<const std::uint32_t*>(pixels.data()), row);
  const int number = errno != 0 ? errno : ENOMEM;
  png_destroy_write_struct(&png, &info);
  if (!done) return fail(failed(name, number));
  return {};
}

}  // namespace

Result<void> write_png(Size size, Bytes pixels, const std::filesystem::path& file) {
  const bool possible = size.width > 0 && size.height > 0 && size.width <= max_picture_side &&
                        size.height <= max_picture_side;
  const std::int64_t needed = std::int64_t{4} * size.width * size.height;
  if (!possible || static_cast<std::int64_t>(pixels.size()) < needed) {
    return fail(ErrorKind::invalid, {.operation = "write",
                                     .object = file.string(),
                                     .cause = "the picture's pixels do not fit its size"});
  }
  Draft draft(file);
  BULKHEAD_TRY(draft.open());
  BULKHEAD_TRY(write_to(draft.file(), size, pixels, file));
  return draft.put_in_place();
}

Result<void> write_png(const Picture& picture, const std::filesystem::path& file) {
  return write_png(picture.size, picture.pixels.bytes(), file);
}

}  // namespace porthole
