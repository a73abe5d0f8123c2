#include "updater/toml/reader.h"

#include <algorithm>
#include <sstream>

#include "updater/base/mask.h"

namespace hostos {

std::expected<toml::table, NoToml> ParseToml(const std::string& text, const std::string& file) {
  try {  // the library reports by throwing; here it becomes a value
    return toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    const toml::source_index line = error.source().begin.line;
    return std::unexpected(NoToml{line, std::format("{}:{}: {}", file, line, error.description())});
  }
}

void TomlReader::Top() {
  Enter("", &root_);
  at_top_ = true;
}

const toml::table* TomlReader::Section(std::string_view name) {
  sections_.push_back(name);
  const toml::node* node = root_.get(name);
  if (node && !node->is_table()) Note(*node, std::format("{0} must be a table: [{0}]", name));
  Enter(name, node ? node->as_table() : nullptr);
  return section_;
}

std::vector<const toml::table*> TomlReader::TablesOf(std::string_view name) {
  sections_.push_back(name);
  const toml::node* node = root_.get(name);
  std::vector<const toml::table*> tables;
  if (!node) return tables;
  if (!node->is_array_of_tables()) {
    Note(*node, std::format("{0} must be tables: [[{0}]]", name));
    return tables;
  }
  for (const toml::node& table : *node->as_array()) tables.push_back(table.as_table());
  return tables;
}

void TomlReader::Enter(std::string_view name, const toml::table* table) {
  at_top_ = false;
  section_ = table;
  section_name_ = name;
  keys_.clear();
}

void TomlReader::Number(std::string_view key, uint32_t& out, int64_t low, int64_t high) {
  int64_t value = out;
  Value(key, value, InRange(low, high));
  out = static_cast<uint32_t>(value);
}

void TomlReader::Require(bool holds, std::string_view first, std::string_view second,
                         std::string problem) {
  if (holds || !section_) return;
  toml::source_region where{};
  for (std::string_view key : {first, second})
    if (const toml::node* node = section_->get(key))
      if (node->source().begin.line >= where.begin.line) where = node->source();
  NoteAt(where, std::move(problem));
}

std::string TomlReader::Place(std::string_view key) const {
  const toml::node* node = section_ ? section_->get(key) : nullptr;
  if (!node) return std::string(file_);
  return std::format("{}:{}", file_, node->source().begin.line);
}

void TomlReader::NoOtherKeys() {
  if (section_) NoOthers(*section_, keys_, std::format("in [{}]", section_name_));
}

void TomlReader::NoOtherSections() {
  NoOthers(root_, sections_, "at the top");
}

std::vector<std::string> TomlReader::Problems() const {
  std::vector<std::string> problems;
  for (const auto& [line, problem] : problems_)
    problems.push_back(std::format("{}:{}: {}", file_, line, problem));
  return problems;
}

bool TomlReader::Take(const toml::node& node, std::string& out) {
  if (node.is_string()) out = node.as_string()->get();
  return node.is_string();
}

bool TomlReader::Take(const toml::node& node, bool& out) {
  if (node.is_boolean()) out = node.as_boolean()->get();
  return node.is_boolean();
}

bool TomlReader::Take(const toml::node& node, int64_t& out) {
  if (node.is_integer()) out = node.as_integer()->get();
  return node.is_integer();
}

bool TomlReader::Take(const toml::node& node, std::vector<std::string>& out) {
  const toml::array* array = node.as_array();
  if (!array) return false;
  for (const toml::node& item : *array) {
    if (!item.is_string()) return false;
    out.push_back(item.as_string()->get());
  }
  return true;
}

// A value as it stands in the file, with any password masked: in url and proxy everything up to
// the last '@', even if the value is not an address.
std::string TomlReader::Shown(std::string_view key, const toml::node& node) {
  std::ostringstream out;
  node.visit([&](const auto& value) { out << value; });
  const std::string text = Masked(out.str());
  const size_t host = key == "url" || key == "proxy" ? text.rfind('@') : text.npos;
  return host == text.npos ? text : "***" + text.substr(host);
}

std::string TomlReader::Named(std::string_view key) const {
  return at_top_ ? std::string(key) : std::format("[{}] {}", section_name_, key);
}

void TomlReader::NoOthers(const toml::table& table, const std::vector<std::string_view>& known,
                          std::string_view where) {
  for (const auto& [key, node] : table) {
    if (std::ranges::contains(known, key.str())) continue;
    std::string list;
    for (std::string_view name : known) list += std::format("{}{}", list.empty() ? "" : ", ", name);
    NoteAt(key.source(), std::format("unknown key {} {}; known are: {}", key.str(), where, list));
  }
}

}  // namespace hostos
