// Reads a settings file strictly: an unknown key, a wrong type and a value out of range are
// problems with the file and the line. One message says what was expected and what was found, with
// any password masked.
#pragma once

#include <cstdint>
#include <expected>
#include <format>
#include <map>
#include <string>
#include <string_view>
#include <toml++/toml.hpp>
#include <type_traits>
#include <utility>
#include <vector>

namespace hostos {

struct NoToml {
  toml::source_index line;
  std::string problem;  // "FILE:LINE: ..."
};
std::expected<toml::table, NoToml> ParseToml(const std::string& text, const std::string& file);

// For Value(): what a whole number must be.
inline auto InRange(int64_t low, int64_t high) {
  return [low, high](int64_t value) {
    bool ok = value >= low && value <= high;
    return ok ? "" : std::format("a whole number from {} to {}", low, high);
  };
}

// Reads the keys of one file. A key that was never asked for is unknown. Each problem is noted with
// its line; the key that it is about is not taken.
class TomlReader {
 public:
  TomlReader(const toml::table& root, std::string_view file) : root_(root), file_(file) {}

  // The keys before the first section.
  void Top();
  // The [name] table; null when the file has none.
  const toml::table* Section(std::string_view name);
  // Each [[name]] table: `read` asks for its keys.
  template <class Read>
  void Tables(std::string_view name, Read read) {
    for (const toml::table* table : TablesOf(name)) {
      Enter(name, table);
      read();
      NoOtherKeys();
    }
  }

  // `check` returns "" for a good value, else what the value must be.
  template <class T, class Check>
  void Value(std::string_view key, T& out, Check check) {
    (at_top_ ? sections_ : keys_).push_back(key);
    const toml::node* node = section_ ? section_->get(key) : nullptr;
    if (!node) return;
    T value{};
    if (!Take(*node, value)) {
      Note(*node,
           std::format("{} must be {}, found {}", Named(key), Expected<T>(), Shown(key, *node)));
    } else if (std::string expected = check(value); !expected.empty()) {
      Note(*node, std::format("{} must be {}, found {}", Named(key), expected, Shown(key, *node)));
    } else {
      out = std::move(value);
    }
  }

  void Number(std::string_view key, uint32_t& out, int64_t low, int64_t high);

  // A condition on two keys of this section. The problem is noted at the later of them in this
  // file.
  void Require(bool holds, std::string_view first, std::string_view second, std::string problem);

  // "FILE:LINE" of a key of this section, for what only turns out later; "FILE" without it.
  std::string Place(std::string_view key) const;

  void NoOtherKeys();
  void NoOtherSections();

  // In the order of their lines.
  std::vector<std::string> Problems() const;

 private:
  template <class T>
  static constexpr const char* Expected() {
    if constexpr (std::is_same_v<T, std::string>) return "a string";
    if constexpr (std::is_same_v<T, int64_t>) return "a whole number";
    if constexpr (std::is_same_v<T, bool>) return "true or false";
    return "a list of strings";
  }

  static bool Take(const toml::node& node, std::string& out);
  static bool Take(const toml::node& node, bool& out);
  static bool Take(const toml::node& node, int64_t& out);
  static bool Take(const toml::node& node, std::vector<std::string>& out);
  static std::string Shown(std::string_view key, const toml::node& node);

  std::vector<const toml::table*> TablesOf(std::string_view name);
  void Enter(std::string_view name, const toml::table* table);
  std::string Named(std::string_view key) const;
  void NoOthers(const toml::table& table, const std::vector<std::string_view>& known,
                std::string_view where);
  void Note(const toml::node& node, std::string problem) {
    NoteAt(node.source(), std::move(problem));
  }
  void NoteAt(const toml::source_region& source, std::string problem) {
    problems_.emplace(source.begin.line, std::move(problem));
  }

  const toml::table& root_;
  std::string_view file_;
  bool at_top_ = false;
  const toml::table* section_ = nullptr;
  std::string_view section_name_;
  std::vector<std::string_view> keys_, sections_;
  std::multimap<toml::source_index, std::string> problems_;
};

}  // namespace hostos
