#include "images/sbom/copyright.h"

#include <optional>
#include <ranges>
#include <set>
#include <span>
#include <vector>

#include "images/sbom/licences.h"
#include "images/sbom/paragraphs.h"
#include "updater/base/text.h"

namespace hostos {
namespace {

using References = std::map<std::string, std::string>;

// What stands in an expression for a licence that SPDX has no name for.
std::string ReferenceTo(const std::string& name, References& references) {
  const std::string reference = "LicenseRef-Debian-" + SpdxName(name);
  references.emplace(reference, name);
  return reference;
}

// One License line: "A or B, and C with D exception". A comma binds less than "and" and "or", and
// "and" binds more than "or".
class LicenceLine {
 public:
  LicenceLine(std::string_view line, References& references) : references_(references) {
    for (const auto part : std::views::split(line, ',')) {
      parts_.emplace_back();
      for (const auto word : std::views::split(part, ' '))
        if (const auto trimmed = Trim(std::string_view(word)); !trimmed.empty())
          parts_.back().emplace_back(trimmed);
    }
  }

  // nullopt when it is not written so.
  std::optional<std::string> Parse() {
    std::string all;
    for (size_t i = 0; i < parts_.size(); i++) {
      std::span<const std::string> words = parts_[i];
      std::string_view join;
      if (i > 0) {
        if (words.empty() || !IsJoin(words[0])) return std::nullopt;
        join = Upper(words[0]);
        words = words.subspan(1);
      }
      const auto part = ParsePart(words);
      if (!part) return std::nullopt;
      all = i == 0 ? *part : std::format("{} {} {}", Grouped(all), join, Grouped(*part));
    }
    return all;
  }

 private:
  static bool IsJoin(std::string_view word) { return word == "and" || word == "or"; }
  static std::string_view Upper(std::string_view join) { return join == "and" ? "AND" : "OR"; }
  // In parentheses, unless that changes nothing.
  static std::string Grouped(const std::string& text) {
    return text.contains(" OR ") || text.contains(" AND ") ? "(" + text + ")" : text;
  }

  // "A and B or C", which SPDX reads in the same way.
  std::optional<std::string> ParsePart(std::span<const std::string> words) {
    std::string text;
    for (;;) {
      const auto one = ParseOne(words);
      if (!one) return std::nullopt;
      text += *one;
      if (words.empty()) return text;
      if (!IsJoin(words[0])) return std::nullopt;
      text += std::format(" {} ", Upper(words[0]));
      words = words.subspan(1);
    }
  }

  // "A", or "A with B exception", from the front of `words`.
  std::optional<std::string> ParseOne(std::span<const std::string>& words) {
    if (words.empty() || IsJoin(words[0]) || words[0] == "with") return std::nullopt;
    const std::string name = words[0];
    words = words.subspan(1);
    const std::string known = SpdxLicence(name);
    if (words.empty() || words[0] != "with") return known.empty() ? Reference(name) : known;
    if (words.size() < 3 || Lower(words[2]) != "exception") return std::nullopt;
    const std::string exception = words[1];
    words = words.subspan(3);
    // The one exception whose name is the same with SPDX; others have several versions there.
    if (!known.empty() && exception == "Linux-syscall-note") return known + " WITH " + exception;
    return Reference(std::format("{} with {} exception", name, exception));
  }

  std::string Reference(const std::string& name) { return ReferenceTo(name, references_); }

  References& references_;
  std::vector<std::vector<std::string>> parts_;  // between commas, in words
};

constexpr std::string_view kAnd = " AND ";

bool IsMachineReadable(const std::vector<Paragraph>& paragraphs) {
  return !paragraphs.empty() && paragraphs[0].Get("format").contains("copyright-format/1");
}

}  // namespace

Licences LicencesOf(std::string_view copyright) {
  const Result<std::vector<Paragraph>> paragraphs = ParseParagraphs(copyright);
  if (!paragraphs || !IsMachineReadable(*paragraphs)) return {};
  Licences licences;
  std::set<std::string> each;
  for (const Paragraph& paragraph : *paragraphs) {
    const std::string_view field = paragraph.Get("license");
    const std::string_view line = Trim(field.substr(0, field.find('\n')));
    const bool header = !paragraph.Get("format").empty();
    if (paragraph.Get("files").empty() && (!header || line.empty())) continue;
    if (line.empty()) return {};
    References references;
    const auto parsed = LicenceLine(line, references).Parse();
    if (!parsed) references.clear();
    const std::string expression = parsed ? *parsed : ReferenceTo(std::string(line), references);
    // What is only joined by AND is the same one by one, and comes once.
    const bool flat = !expression.contains('(') && !expression.contains(" OR ");
    if (!flat) each.insert(expression);
    if (flat)
      for (const auto part : std::views::split(expression, kAnd))
        each.emplace(std::string_view(part));
    licences.references.merge(references);
  }
  for (const std::string& one : each) {
    if (!licences.expression.empty()) licences.expression += kAnd;
    licences.expression += each.size() > 1 && one.contains(" OR ") ? "(" + one + ")" : one;
  }
  return licences;
}

}  // namespace hostos
