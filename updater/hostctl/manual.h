// A program's manual from its command table: the man page and the bash completion. hostctl and
// hostimage make theirs with it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hostos {

struct ManualOption {
  std::string_view name;      // without its dashes
  std::string_view argument;  // "FILE", "DIR" and "PATH" are completed; empty: a switch
  std::string_view help;
  std::string_view choices = "";  // allowed values, separated by spaces; empty: any
  bool required = false, repeats = false;
};

struct ManualExit {
  int code;
  std::string_view meaning;
};

struct ManualCommand {
  std::string_view name;     // one word, or two
  std::string_view operand;  // empty: it takes none
  std::string_view description;
  std::vector<ManualOption> options;
  std::vector<ManualExit> exits;  // what a code says of this one
  std::string operands = "";      // to complete, separated by spaces
  bool hidden = false;            // in the page, and not completed
};

// A file or a variable.
struct ManualTerm {
  std::string_view names;  // separated by spaces
  std::string_view meaning;
};

struct ManualExample {
  std::string_view text;
  std::string_view lines;
};

struct Manual {
  std::string_view program;
  int section = 1;
  std::string_view date;
  std::string_view summary;
  std::span<const std::string_view> description;  // paragraphs
  std::vector<ManualOption> options;              // of every verb
  std::vector<ManualCommand> commands;
  std::span<const ManualTerm> environment, files;
  std::vector<ManualExit> exits;
  std::span<const ManualExample> examples;
  std::vector<std::string_view> see_also;  // "systemctl 1"
};

// As mdoc(7).
std::string ManPage(const Manual& manual);

// With nothing of the bash-completion package: installed under its folder it is loaded on demand,
// sourced by itself it works alone.
std::string BashCompletion(const Manual& manual);

// Writes one of the two to standard output, as the only word asks, "man" or "completion"; the
// program's exit code.
int GenerateManual(std::span<const char* const> words, const Manual& manual);

}  // namespace hostos
