// SPDX-License-Identifier: Apache-2.0
//
// What a page may load, and where its links may lead: decided by the browser process from what it
// committed, never from what a renderer says of its page.
//
//   page            may load                                  its links lead to
//   http            http, https, data                         http, https, about:blank
//   https           https, data; pictures by http             http, https, about:blank
//   file            file, http, https, data                   http, https, file, about:blank
//   data            data                                      http, https, about:blank
//   about           data                                      http, https, file, about
#pragma once

#include <bulkhead/result.hpp>

#include "browser/url.hpp"
#include "interfaces/resources.hpp"

namespace porthole {

/// `denied`, with a sentence, when it may not; `invalid` for a URL that is none.
bulkhead::Result<void> may_load(const Url& page, const ResourceRequest& request);

/// The same for a link, a form or what the page itself wants to go to. What a person types may lead
/// anywhere.
bulkhead::Result<void> may_navigate(const Url& page, const Url& to);

}  // namespace porthole
