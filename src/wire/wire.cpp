// SPDX-License-Identifier: Apache-2.0
//
// The parts of the codec that are the same for all types: handles, errors, and the sentences.
#include <string>
#include <system_error>
#include <utility>

#include <bulkhead/wire.hpp>

namespace bulkhead::wire::detail {

namespace {

std::string text_of(const Trouble& t) {
  const std::string a = std::to_string(t.a);
  const std::string b = std::to_string(t.b);
  switch (t.fault) {
    case Fault::none:
      return "nothing is wrong";
    case Fault::truncated:
      return a + " bytes are needed, " + b + " are left";
    case Fault::count:
      return "a count of " + a + " where at most " + b + " can follow";
    case Fault::empty_elements:
      return "too many elements without any bytes";
    case Fault::boolean:
      return "a bool is " + a + ", not 0 or 1";
    case Fault::tag:
      return "the tag of an optional or result is " + a + ", not 0 or 1";
    case Fault::alternative:
      return "alternative " + a + " of a variant of " + b;
    case Fault::duplicate:
      return "a key of a map or an element of a set comes twice";
    case Fault::too_deep:
      return "structs are nested more than 64 deep";
    case Fault::memory:
      return "it would take " + a + " more bytes of memory, " + b + " are allowed";
    case Fault::error_kind:
      return "an Error of unknown kind " + a;
    case Fault::error_category:
      return "an Error with a code of unknown category " + a;
    case Fault::handle_missing:
      return "handle " + a + " is named, " + b + " came";
    case Fault::handle_order:
      return "handle " + a + " is named where " + b + " is next";
    case Fault::handle_kind:
      return "handle " + a + " is of another kind";
    case Fault::handle_refused:
      return "handle " + a + " is refused";
    case Fault::trailing_bytes:
      return a + " bytes are left over";
    case Fault::trailing_handles:
      return a + " handles are left over";
    case Fault::no_handles:
      return "it holds a handle, and handles have no place here";
    case Fault::empty_handle:
      return "it holds an empty handle";
    case Fault::handle_unusable:
      return "a handle in it cannot be sent";
    case Fault::valueless:
      return "it holds a variant without a value";
  }
  return "unknown";
}

ErrorKind kind_of(const Trouble& trouble, bool encoding) {
  switch (trouble.fault) {
    case Fault::memory:
      return ErrorKind::too_large;
    case Fault::too_deep:
    case Fault::empty_elements:
      return encoding ? ErrorKind::too_large : ErrorKind::corrupt;
    case Fault::no_handles:
    case Fault::handle_unusable:
      return ErrorKind::unsupported;
    case Fault::empty_handle:
    case Fault::valueless:
      return ErrorKind::invalid;
    default:
      return ErrorKind::corrupt;
  }
}

const char* remedy_of(Fault fault) {
  switch (fault) {
    case Fault::no_handles:
      return "send it over a channel that carries handles";
    case Fault::empty_handle:
      return "use std::optional for a handle that may be absent";
    case Fault::memory:
      return "use vectors of plain structs for large data of an untrusted peer";
    default:
      return "";
  }
}

// Where an Error's code comes from. LAYOUT in docs/protocol/wire.md.
enum class Category : std::uint8_t { kind, system, generic };

Category category_of(const std::error_code& code) {
  if (code.category() == std::system_category()) return Category::system;
  if (code.category() == std::generic_category()) return Category::generic;
  return Category::kind;
}

/// An Error's fields beside its kind, in wire order.
struct ErrorParts {
  std::string operation;
  std::string object;
  std::string cause;
  std::string remedy;
  std::uint8_t category = 0;
  std::int32_t code = 0;
  std::optional<std::pair<std::string, Exit>> death;
};

ErrorParts parts_of(const Error& error) {
  const std::error_code code = error.code();
  ErrorParts parts{.operation = error.operation(),
                   .object = error.object(),
                   .cause = error.cause(),
                   .remedy = error.remedy(),
                   .category = static_cast<std::uint8_t>(category_of(code)),
                   .code = 0,
                   .death = {}};
  if (parts.category != 0) {
    parts.code = code.value();
  } else if (code.category() != error_category() && parts.cause.empty()) {
    parts.cause = code.message();  // a category that only this process knows: its words travel
  }
  if (error.exit()) parts.death.emplace(error.who(), *error.exit());
  return parts;
}

bool has_text(const ErrorParts& parts) {
  return !parts.operation.empty() || !parts.object.empty() || !parts.cause.empty() ||
         !parts.remedy.empty();
}

Error error_from(ErrorKind kind, ErrorParts parts) {
  if (parts.death && kind == ErrorKind::peer_died) {
    return Error::died({}, std::move(parts.death->first), std::move(parts.death->second))
        .during(std::move(parts.operation), std::move(parts.object));
  }
  std::error_code code;
  if (parts.category != 0) {
    code = {parts.code, parts.category == 1 ? std::system_category() : std::generic_category()};
  }
  if (!code && !has_text(parts)) return Error{kind};
  return Error{kind,
               {.operation = std::move(parts.operation),
                .object = std::move(parts.object),
                .cause = std::move(parts.cause),
                .remedy = std::move(parts.remedy),
                .code = code}};
}

}  // namespace

Error describe(const Trouble& trouble, const char* operation, const Error* cause) {
  const bool encoding = std::string_view{operation} == "encode";
  std::string text = "offset " + std::to_string(trouble.offset) + ": " + text_of(trouble);
  if (cause) text += ": " + cause->sentence();
  // A full descriptor table or memory is this side's state, not the peer's lie.
  const ErrorKind kind = cause ? cause->kind() : kind_of(trouble, encoding);
  return Error{kind,
               {.operation = operation,
                .cause = std::move(text),
                .remedy = remedy_of(trouble.fault),
                .code = cause && cause->code().category() != error_category() ? cause->code()
                                                                              : std::error_code{}}};
}

std::size_t measure_error(const Error& error) { return 1 + measure(parts_of(error), 0); }

bool Writer::write_error(const Error& error) {
  number(static_cast<std::uint8_t>(error.kind()));
  const ErrorParts parts = parts_of(error);
  return write(parts);
}

bool Writer::put_handle(Result<Handle> handle) {
  if (!handle) {
    cause_ = std::move(handle).error();
    return stop(Fault::handle_unusable);
  }
  number(static_cast<std::uint32_t>(handles_->size() - first_handle_));
  handles_->push_back(std::move(*handle));
  return true;
}

bool Reader::fill_error(std::optional<Error>& slot) {
  std::uint8_t kind = 0;
  if (!byte(kind)) return false;
  if (kind < static_cast<std::uint8_t>(ErrorKind::full) ||
      kind > static_cast<std::uint8_t>(ErrorKind::system)) {
    --at_;
    return stop(Fault::error_kind, kind);
  }
  ErrorParts parts;
  if (!read(parts)) return false;
  if (parts.category > static_cast<std::uint8_t>(Category::generic)) {
    return stop(Fault::error_category, parts.category);
  }
  constexpr std::size_t text_memory = 512;  // an Error's text is a separate object
  const bool plain = !has_text(parts) && parts.category == 0 && !parts.death;
  if (!plain && !charge(text_memory)) return false;
  slot.emplace(error_from(static_cast<ErrorKind>(kind), std::move(parts)));
  return true;
}

bool Reader::take_handle(std::optional<Handle>& slot, const Handle::Kind* kind) {
  if (!need(handle_size)) return false;
  const auto number = load<std::uint32_t>(at_);
  if (number >= handles_.size()) return stop(Fault::handle_missing, number, handles_.size());
  // Numbers follow each other, so each is used once.
  if (number != next_handle_) return stop(Fault::handle_order, number, next_handle_);
  Handle& handle = handles_[number];
  if (kind) {
    const bool whole = *kind != Handle::Kind::descriptor || (!handle.is_local() && handle.fd());
    if (handle.kind() != *kind || !whole) return stop(Fault::handle_kind, number);
  }
  at_ += handle_size;
  ++next_handle_;
  slot.emplace(std::move(handle));
  return true;
}

bool Reader::refuse_handle(Error error) {
  at_ -= handle_size;
  cause_ = std::move(error);
  return stop(Fault::handle_refused, next_handle_ - 1);
}

}  // namespace bulkhead::wire::detail
