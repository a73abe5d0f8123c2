#include "images/sbom/dpkg.h"

#include <algorithm>
#include <charconv>
#include <ranges>

#include "images/sbom/paragraphs.h"
#include "updater/base/text.h"
#include "updater/release/debian_version.h"

namespace hostos {
namespace {

constexpr size_t kMaxText = 256;

bool IsArchitecture(std::string_view text) {
  return !text.empty() && text.size() <= kMaxText &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == text.npos;
}

// "NAME", or "NAME (VERSION)".
std::optional<DebianSource> ParseSource(std::string_view text, std::string_view version) {
  const size_t open = text.find('(');
  if (open != text.npos) {
    if (!text.ends_with(')')) return std::nullopt;
    version = Trim(text.substr(open + 1, text.size() - open - 2));
  }
  const std::string_view name = Trim(text.substr(0, open));
  if (!IsDebianName(name) || !IsDebianVersion(version)) return std::nullopt;
  return DebianSource{std::string(name), std::string(version)};
}

// "NAME (= VERSION)", separated by commas.
std::optional<std::vector<DebianSource>> ParseSources(std::string_view text) {
  std::vector<DebianSource> sources;
  for (const auto part : std::views::split(text, ',')) {
    const std::string_view one = Trim(std::string_view(part));
    if (one.empty()) continue;
    const size_t equals = one.find("(=");
    if (equals == one.npos) return std::nullopt;
    const auto source = ParseSource(
        std::string(one.substr(0, equals)) + "(" + std::string(one.substr(equals + 2)), "");
    if (!source) return std::nullopt;
    sources.push_back(*source);
  }
  return sources;
}

// The third word of Status: what dpkg has done, beside what it is asked to do.
bool IsInstalled(const Paragraph& paragraph) {
  return paragraph.Get("status").ends_with(" installed");
}

Result<DebianPackage> ParsePackage(const Paragraph& paragraph) {
  const auto odd = [&](std::string_view field, std::string_view expected) {
    return Fail(Code::kFailed, "package '{}': {}: expected {}, found '{}'",
                paragraph.Get("package").substr(0, kMaxText), field, expected,
                paragraph.Get(field).substr(0, kMaxText));
  };
  DebianPackage package = {.name = std::string(paragraph.Get("package")),
                           .version = std::string(paragraph.Get("version")),
                           .architecture = std::string(paragraph.Get("architecture")),
                           .maintainer = std::string(paragraph.Get("maintainer")),
                           .installed_size = 0,
                           .source = {},
                           .built_using = {}};
  if (!IsDebianName(package.name)) return odd("package", "a name");
  if (!IsDebianVersion(package.version)) return odd("version", "a version");
  if (!IsArchitecture(package.architecture)) return odd("architecture", "an architecture");
  const std::string_view size = paragraph.Get("installed-size");
  std::from_chars(size.data(), size.data() + size.size(), package.installed_size);
  const std::string_view named = paragraph.Get("source");
  const auto source = ParseSource(named.empty() ? package.name : named, package.version);
  if (!source) return odd("source", "NAME or NAME (VERSION)");
  package.source = *source;
  for (const char* field : {"built-using", "static-built-using"}) {
    auto sources = ParseSources(paragraph.Get(field));
    if (!sources) return odd(field, "NAME (= VERSION), ...");
    std::ranges::move(*sources, std::back_inserter(package.built_using));
  }
  std::ranges::sort(package.built_using);
  const auto twice = std::ranges::unique(package.built_using);
  package.built_using.erase(twice.begin(), twice.end());
  return package;
}

}  // namespace

const DebianSource& DebianPackage::Described() const {
  if (source.name.starts_with("linux-signed-"))
    for (const DebianSource& used : built_using)
      if (used.name == "linux") return used;
  return source;
}

Result<std::vector<DebianPackage>> ParseStatus(std::string_view status) {
  std::vector<DebianPackage> packages;
  for (const Paragraph& paragraph : TRY(ParseParagraphs(status))) {
    if (paragraph.Get("package").empty())
      return Fail(Code::kFailed, "line {}: expected a paragraph with a field Package, found none",
                  paragraph.line);
    if (!IsInstalled(paragraph)) continue;
    if (packages.size() == kMaxPackages)
      return Fail(Code::kFailed, "expected at most {} packages, found more", kMaxPackages);
    packages.push_back(
        TRY_CONTEXT(std::format("line {}", paragraph.line), ParsePackage(paragraph)));
  }
  const auto key = [](const DebianPackage& package) {
    return std::tie(package.name, package.architecture);
  };
  std::ranges::sort(packages, {}, key);
  const auto twice = std::ranges::adjacent_find(packages, {}, key);
  if (twice != packages.end())
    return Fail(Code::kFailed, "expected package {}:{} once, found it twice", twice->name,
                twice->architecture);
  return packages;
}

}  // namespace hostos
