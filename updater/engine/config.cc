#include "updater/engine/config.h"

#include <algorithm>
#include <ranges>
#include <toml++/toml.hpp>

#include "updater/base/unique_fd.h"
#include "updater/release/commit.h"
#include "updater/toml/reader.h"

namespace hostos {
namespace {

// ---- what values may be; each returns the expectation that does not hold, or "" ----

std::string AnUrl(const std::string& url) {
  for (std::string_view scheme : {"http://", "https://"})
    if (url.starts_with(scheme) && url.size() > scheme.size() && url[scheme.size()] != '/' &&
        std::ranges::all_of(url, [](char c) { return c > ' ' && c <= '~'; }))
      return "";
  return url.empty() ? "" : "an http:// or https:// address";
}

// As releases are named.
std::string AName(const std::string& name) {
  return IsValidName(name) ? "" : kNameRule;
}

std::string ASignaturePolicy(const std::string& name) {
  return PolicyNamed(name) ? "" : "classical, hybrid or pq";
}

std::string AnAbsolutePath(const std::string& path) {
  return path.starts_with('/') ? "" : "an absolute path";
}

std::string APathOrNone(const std::string& path) {
  return path.empty() ? "" : AnAbsolutePath(path);
}

std::string AbsolutePaths(const std::vector<std::string>& paths) {
  bool ok =
      !paths.empty() && std::ranges::all_of(paths, [](auto& p) { return p.starts_with('/'); });
  return ok ? "" : "a list of absolute paths, at least one";
}

std::string ARateLimit(int64_t bytes) {
  constexpr int64_t kLeast = 10'000, kMost = 1'000'000'000;
  bool ok = bytes == 0 || (bytes >= kLeast && bytes <= kMost);
  return ok ? "" : std::format("0, or a whole number from {} to {}", kLeast, kMost);
}

std::string AMeteredPolicy(const std::string& name) {
  return name == "allow" || name == "refuse" ? "" : "allow or refuse";
}

std::string AnyFlag(bool) {
  return "";
}

std::string NotEmpty(const std::string& value) {
  return value.empty() ? "not empty" : "";
}

// systemd.unit(5).
std::string AServiceName(const std::string& name) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@";
  constexpr std::string_view kSuffix = ".service";
  bool ok = name.size() > kSuffix.size() && name.size() < 256 && name.ends_with(kSuffix) &&
            name.find_first_not_of(kAllowed) == std::string::npos;
  return ok ? "" : "the name of a unit that ends in .service";
}

std::string Names(const std::vector<std::string>& names) {
  bool ok = std::ranges::none_of(names, &std::string::empty);
  return ok ? "" : "a list of names, none of them empty";
}

// Whose file it is.
enum class Whose { kRelease, kOperator };

void ReadDuration(TomlReader& reader, std::string_view key, Seconds& out, int64_t low,
                  int64_t high) {
  int64_t value = out.count();
  reader.Value(key, value, InRange(low, high));
  out = Seconds(value);
}

// Returns the problems.
std::vector<std::string> ReadInto(Config& config, const toml::table& root, std::string_view file,
                                  Whose whose) {
  TomlReader reader(root, file);
  reader.Section("source");
  reader.Value("url", config.url, AnUrl);
  reader.Value("allow_http", config.allow_http, AnyFlag);
  reader.Value("proxy", config.proxy, AnUrl);
  reader.Value("token_file", config.token_file, APathOrNone);
  auto rate_limit = static_cast<int64_t>(config.rate_limit);
  reader.Value("rate_limit", rate_limit, ARateLimit);
  config.rate_limit = static_cast<uint64_t>(rate_limit);
  std::string metered = config.refuse_metered ? "refuse" : "allow";
  reader.Value("metered", metered, AMeteredPolicy);
  config.refuse_metered = metered == "refuse";
  reader.Value("product", config.product, AName);
  reader.Value("channel", config.channel, AName);
  reader.Value("keys", config.keys, AbsolutePaths);
  uint32_t required = 0;
  reader.Number("required_signatures", required, 1, 16);
  std::string policy;
  reader.Value("signatures", policy, ASignaturePolicy);
  if (required != 0) config.signatures.required = required;
  config.signatures.policy = PolicyNamed(policy).value_or(config.signatures.policy);
  if (whose == Whose::kOperator) {
    config.own_required |= required != 0;
    config.own_policy |= PolicyNamed(policy).has_value();
  } else {
    config.released_signatures = config.signatures;
  }
  reader.NoOtherKeys();

  reader.Section("update");
  reader.Number("tries", config.tries, 1, 10);
  reader.NoOtherKeys();

  reader.Section("health");
  HealthPolicy& health = config.health;
  ReadDuration(reader, "window", health.window, 0, 720);
  ReadDuration(reader, "deadline", health.deadline, 1, 720);
  // The other of the two may come from a file read earlier.
  reader.Require(health.window <= health.deadline, "window", "deadline",
                 std::format("[health] deadline ({} s) must not be below window ({} s)",
                             health.deadline.count(), health.window.count()));
  ReadDuration(reader, "interval", health.interval, 1, 300);
  ReadDuration(reader, "check_timeout", health.check_timeout, 1, 300);
  reader.Value("containerd_socket", health.containerd_socket, AnAbsolutePath);
  reader.Value("containerd_unit", health.containerd_unit, AServiceName);
  reader.Value("plugins", health.plugins, Names);
  reader.Value("containerd_settings", health.containerd_settings, AnyFlag);
  reader.Value("canary", health.canary, AnAbsolutePath);
  reader.Value("runtime", health.runtime, NotEmpty);
  reader.Value("checks", health.checks, AnAbsolutePath);
  reader.Value("allowed_failed_units", health.allowed_failed_units, Names);
  reader.NoOtherKeys();

  reader.Section("probation");
  ReadDuration(reader, "time", config.probation.time, 0, 604800);
  ReadDuration(reader, "interval", config.probation.interval, 1, 3600);
  reader.Value("fall_back", config.probation.fall_back, AnyFlag);
  reader.NoOtherKeys();
  reader.NoOtherSections();
  return reader.Problems();
}

// Parses the file without the lines that are not TOML to this version.
toml::table ParseWhatCanBe(const std::string& text, const std::string& file,
                           std::vector<std::string>& unused) {
  constexpr size_t kMostLines = 200;
  std::vector<std::string> lines;
  for (auto line : text | std::views::split('\n')) lines.emplace_back(std::string_view(line));
  for (size_t dropped = 0; dropped < kMostLines; dropped++) {
    std::string left;
    for (const std::string& line : lines) left += line + "\n";
    std::expected<toml::table, NoToml> parsed = ParseToml(left, file);
    if (parsed) return *std::move(parsed);
    // The parser may notice only further down what a line lacks.
    size_t at = std::min<size_t>(std::max<size_t>(parsed.error().line, 1), lines.size());
    while (at > 1 && lines[at - 1].empty()) at--;
    if (lines[at - 1].empty()) break;
    lines[at - 1].clear();
    unused.push_back(parsed.error().problem);
  }
  unused.push_back(file + ": expected TOML, found something else");
  return {};
}

}  // namespace

Result<Config> LoadConfig(const std::vector<std::string>& files) {
  Config config;
  for (const std::string& file : files) {
    Result<std::string> text = ReadFile(file);
    if (!text && text.error().code == Code::kNotFound) continue;
    if (!text) return std::unexpected(std::move(text).error());
    const std::expected<toml::table, NoToml> root = ParseToml(*text, file);
    if (!root) return Fail(Code::kUsage, "{}", root.error().problem);
    const Whose whose = &file == &files.front() ? Whose::kRelease : Whose::kOperator;
    if (const auto problems = ReadInto(config, *root, file, whose); !problems.empty())
      return Fail(Code::kUsage, "{}", problems.front());
  }
  return config;
}

Config LoadWhatCanBe(const std::vector<std::string>& files, std::vector<std::string>& unused) {
  Config config;
  for (const std::string& file : files) {
    const Result<std::string> text = ReadFile(file);
    if (!text && text.error().code != Code::kNotFound) unused.push_back(text.error().message);
    if (!text) continue;
    const Whose whose = &file == &files.front() ? Whose::kRelease : Whose::kOperator;
    std::ranges::copy(ReadInto(config, ParseWhatCanBe(*text, file, unused), file, whose),
                      std::back_inserter(unused));
  }
  return config;
}

SignatureRule SignatureRuleOf(const Config& config, const Record& record) {
  SignatureRule rule = config.signatures;
  if (!record.signatures) return rule;
  if (!config.own_policy) rule.policy = Stricter(rule.policy, record.signatures->policy);
  if (!config.own_required) rule.required = std::max(rule.required, record.signatures->required);
  return rule;
}

}  // namespace hostos
