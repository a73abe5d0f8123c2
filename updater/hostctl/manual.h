// Makes a program's manual from its command table: the man page and the bash completion. Serves
// hostctl and hostimage.
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
  std::vector<ManualExit> exits;  // what a code means for this command
  std::string operands = "";      // words to complete, separated by spaces
  bool hidden = false;            // in the page, but not completed
};

// A file or an environment variable.
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

// The manual as mdoc(7).
std::string ManPage(const Manual& manual);

// Needs nothing from the bash-completion package: installed in that package's folder it is loaded
// on demand; sourced by itself it works alone.
std::string BashCompletion(const Manual& manual);

// Writes the man page or the completion to standard output, as the only word asks: "man" or
// "completion". Returns the program's exit code.
int GenerateManual(std::span<const char* const> words, const Manual& manual);

}  // namespace hostos
