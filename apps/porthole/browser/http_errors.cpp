// SPDX-License-Identifier: Apache-2.0
#include "browser/http_errors.hpp"

#include <cerrno>
#include <curl/curl.h>

namespace porthole {
namespace {

using bulkhead::Error;
using bulkhead::ErrorKind;

Error plain(ErrorKind kind, std::string cause, std::string remedy = {}) {
  return Error{kind, {.cause = std::move(cause), .remedy = std::move(remedy)}};
}

/// The numbers are OpenSSL's (x509_vfy.h) and part of its interface.
std::string certificate_cause(const HttpFailure& failure) {
  switch (failure.certificate) {
    case 18:
    case 19:
      return "it is self-signed";
    case 9:
      return "it is not valid yet";
    case 10:
      return "it has expired";
    case 20:
    case 21:
    case 27:
      return "its issuer is not known here";
    case 23:
      return "it was revoked";
    case 62:
      return "it is for another host";
    default:
      break;
  }
  if (failure.words.contains("subject name") || failure.words.contains("does not match")) {
    return "it is for another host";
  }
  return failure.words.empty() ? "it could not be verified" : failure.words;
}

Error not_connected(const HttpFailure& failure) {
  const std::string where = failure.host + " port " + failure.port;
  switch (failure.system) {
    case ECONNREFUSED:
      return plain(ErrorKind::not_found, "nobody listens at " + where + " (connection refused)",
                   "see whether the server runs, and at this port");
    case ENETUNREACH:
    case EHOSTUNREACH:
      return plain(ErrorKind::not_found, where + " cannot be reached from here",
                   "see whether this machine is connected");
    default:
      return plain(ErrorKind::not_found, "no connection to " + where);
  }
}

Error cut_short(const HttpFailure& failure) {
  if (failure.announced >= 0) {
    return plain(ErrorKind::closed, "the server closed after " + std::to_string(failure.received) +
                                        " of " + std::to_string(failure.announced) + " bytes");
  }
  return plain(ErrorKind::closed, "the server closed in the middle of the body, after " +
                                      std::to_string(failure.received) + " bytes");
}

Error timed_out(const HttpFailure& failure) {
  if (!failure.connected) {
    return plain(ErrorKind::timed_out,
                 "no connection to " + failure.host + " port " + failure.port + " in time");
  }
  return plain(ErrorKind::timed_out, "it took too long, and was given up");
}

}  // namespace

Error error_of(const HttpFailure& failure) {
  switch (failure.code) {
    case CURLE_URL_MALFORMAT:
      return plain(ErrorKind::invalid, "this is not a valid URL");
    case CURLE_COULDNT_RESOLVE_HOST:
      return plain(ErrorKind::not_found, "no such host",
                   "see whether the name is right and this machine is connected");
    case CURLE_COULDNT_RESOLVE_PROXY:
      return plain(ErrorKind::not_found, "no such proxy");
    case CURLE_COULDNT_CONNECT:
      return not_connected(failure);
    case CURLE_OPERATION_TIMEDOUT:
      return timed_out(failure);
    case CURLE_PEER_FAILED_VERIFICATION:
      return plain(ErrorKind::denied, "the certificate of " + failure.host +
                                          " is not valid: " + certificate_cause(failure));
    case CURLE_SSL_CONNECT_ERROR:
      return plain(ErrorKind::denied, failure.host + " offers no secure connection" +
                                          (failure.words.empty() ? "" : ": " + failure.words));
    case CURLE_SSL_CACERT_BADFILE:
      return plain(ErrorKind::not_found, "the certificate authorities to believe cannot be read");
    case CURLE_GOT_NOTHING:
      return plain(ErrorKind::closed, "the server closed without an answer");
    case CURLE_PARTIAL_FILE:
      return cut_short(failure);
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
      if (!failure.words.contains("reset")) return cut_short(failure);
      return plain(ErrorKind::closed, "the server broke the connection off");
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
      return plain(ErrorKind::corrupt, "what the server answered is not HTTP");
    case CURLE_BAD_CONTENT_ENCODING:
      return plain(ErrorKind::corrupt, "the body's compression is damaged");
    case CURLE_OUT_OF_MEMORY:
      return plain(ErrorKind::too_large, "the head of the answer is too large");
    default:
      return plain(ErrorKind::system, failure.words.empty()
                                          ? curl_easy_strerror(static_cast<CURLcode>(failure.code))
                                          : failure.words);
  }
}

}  // namespace porthole
