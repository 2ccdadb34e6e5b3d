// SPDX-License-Identifier: Apache-2.0
#include "browser/about_pages.hpp"

#include <array>
#include <curl/curl.h>
#include <sqlite3.h>

#include "browser/file_fetch.hpp"

namespace porthole {
namespace {

constexpr std::string_view style =
    "body{font-family:sans-serif;color:#1d2530;background:#f4f6f8;margin:48px 64px;max-width:760px}"
    "h1{font-size:26px;margin:0 0 12px 0;color:#16324f}"
    "p{line-height:1.5}"
    "code{background:#e4e9ee;padding:1px 4px}"
    "table{border-collapse:collapse;background:#ffffff}"
    "th{text-align:left;background:#16324f;color:#ffffff;padding:6px 12px}"
    "td{border-bottom:1px solid #d5dce3;padding:6px 12px}"
    "td.number{text-align:right}"
    ".mark{font-size:40px;color:#b3423a;margin:0 0 8px 0}";

std::string page(std::string_view title, std::string_view body) {
  std::string html = "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>";
  html.append(html_escaped(title)).append("</title><style>").append(style);
  html.append("</style></head>\n<body>\n").append(body).append("\n</body></html>\n");
  return html;
}

std::string row(std::string_view name, std::string_view value) {
  return "<tr><td>" + html_escaped(name) + "</td><td>" + html_escaped(value) + "</td></tr>\n";
}

std::string version_page() {
  std::string body =
      "<h1>Porthole</h1>\n<p>A small browser of many processes, built on Bulkhead."
      "</p>\n<table>\n";
  body += row("Network", curl_version());
  body += row("Bookmarks", std::string{"SQLite "} + sqlite3_libversion());
  body += row("Pages", "litehtml, cairo, Pango");
  body += row("Compiler", __VERSION__);
  return page("About Porthole", body + "</table>");
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 8> known_pages{{
    {"about:blank", "an empty page"},
    {"about:version", "what this program is made of"},
    {"about:processes", "the processes that run now"},
    {"about:sandbox", "what each kind of process tried and was refused"},
    {"about:crash", "a page whose process crashes"},
    {"about:hang", "a page whose process goes round in a circle"},
    {"about:oom", "a page whose process takes memory until there is none"},
    {"about:about", "this page"},
}};

std::string list_page() {
  std::string body = "<h1>Pages of Porthole</h1>\n<ul>\n";
  for (const auto& [url, words] : known_pages) {
    body.append("<li><a href=\"").append(url).append("\">").append(url).append("</a>: ");
    body.append(words).append("</li>\n");
  }
  return page("Pages of Porthole", body + "</ul>");
}

/// The sentence's first letter in upper case, and a full stop.
std::string as_sentence(std::string_view text) {
  std::string sentence{text};
  if (sentence.empty()) return "The reason is not known.";
  if (sentence[0] >= 'a' && sentence[0] <= 'z') {
    sentence[0] = static_cast<char>(sentence[0] - 'a' + 'A');
  }
  if (!sentence.ends_with('.')) sentence += '.';
  return sentence;
}

/// What to try, by what the reason speaks of.
std::string_view advice(std::string_view reason) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 11> rules{{
      {"no such host", "Look at the name in the address; perhaps this machine is not connected."},
      {"certificate", "Somebody may be listening in. Do not go on; ask who runs this server."},
      {"nobody listens", "The server may not be running, or at another port. Try again later."},
      {"cannot be reached", "See whether this machine is connected to the network."},
      {"no such file", "Look at the path in the address: a folder lists what is in it."},
      {"may not read", "Ask whoever owns the file to let you read it."},
      {"redirected", "The server leads in a circle. Only who runs it can mend that."},
      {"in time", "The server may be busy. Try again later."},
      {"sent nothing", "The server may be busy. Try again later."},
      {"too long", "The server may be busy. Try again later."},
      {"closed", "The server or the network broke off. Reload to try again."},
  }};
  for (const auto& [words, what] : rules) {
    if (reason.contains(words)) return what;
  }
  return "Reload to try again.";
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
  return text.empty() ? "none" : text;
}

std::string cell(const std::string& text) { return "<td>" + html_escaped(text) + "</td>"; }
std::string cell(std::uint64_t number) {
  return "<td class=\"number\">" + std::to_string(number) + "</td>";
}

std::string process_row(const ProcessRow& row) {
  const std::string tab =
      row.tab ? std::to_string(static_cast<std::uint32_t>(*row.tab)) : std::string{};
  const std::string& more = row.plugin.empty() ? row.composer : row.plugin;
  const std::string kind = more.empty() ? row.kind : row.kind + " (" + more + ")";
  return "<tr>" + cell(kind) + cell(static_cast<std::uint64_t>(row.pid)) + cell(tab) +
         cell(row.site.value_or("")) + cell(row.rss_kb) + cell(joined(row.sandbox)) + "</tr>\n";
}

}  // namespace

bool is_misbehaving_page(std::string_view url) {
  return url == "about:crash" || url == "about:hang" || url == "about:oom";
}

bulkhead::Result<std::string> about_page(const std::string& url) {
  if (url == "about:blank" || is_misbehaving_page(url)) return std::string{};
  if (url == "about:version") return version_page();
  if (url == "about:about") return list_page();
  return bulkhead::fail(bulkhead::ErrorKind::not_found,
                        {.operation = "load",
                         .object = url,
                         .cause = "Porthole has no such page",
                         .remedy = "about:about lists those that there are"});
}

std::string error_page(std::string_view url, std::string_view reason) {
  // Most reasons name their URL first, which stands above already.
  const std::string named = "load " + std::string{url} + ": ";
  if (reason.starts_with(named)) reason.remove_prefix(named.size());
  std::string body =
      "<p class=\"mark\">&#9888;</p>\n<h1>This page could not be loaded</h1>\n<p><code>";
  body += html_escaped(url);
  body += "</code></p>\n<p>" + html_escaped(as_sentence(reason)) + "</p>\n<p>";
  body.append(advice(reason)).append("</p>");
  return page("Not loaded: " + std::string{url}, body);
}

std::string processes_page(const std::vector<ProcessRow>& rows) {
  std::string body =
      "<h1>Processes</h1>\n<table>\n<tr><th>Kind</th><th>pid</th><th>Tab</th>"
      "<th>Site</th><th>Memory (kB)</th><th>Sandbox</th></tr>\n";
  for (const auto& row : rows) body += process_row(row);
  return page("Processes", body + "</table>");
}

}  // namespace porthole
