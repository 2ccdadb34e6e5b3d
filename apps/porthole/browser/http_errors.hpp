// SPDX-License-Identifier: Apache-2.0
//
// What libcurl's codes mean, in words for people.
#pragma once

#include <string>

#include <bulkhead/error.hpp>

namespace porthole {

struct HttpFailure {
  /// A CURLcode.
  int code = 0;
  /// libcurl's own words.
  std::string words = {};
  std::string host = {};
  std::string port = {};
  /// OpenSSL's X509_V_ERR number; 0 when it has none.
  long certificate = 0;
  /// errno of the connection; 0 when it has none.
  long system = 0;
  /// The connection stood.
  bool connected = false;
  /// Of the body: what came, and what was announced (-1: nothing).
  long long received = 0;
  long long announced = -1;
};

/// An Error with a cause and a remedy; operation and object are for who asked.
bulkhead::Error error_of(const HttpFailure& failure);

}  // namespace porthole
