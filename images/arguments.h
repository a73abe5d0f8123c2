// Parses the command line by one table: the verbs, their options, and the texts of --help.
//
// Strict: an unknown option, a missing or superfluous value, and a repeated option that may not
// repeat are errors with Code::kUsage that name what was expected.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "updater/base/result.h"

namespace hostos {

enum class Times { kAtMostOnce, kOnce, kAnyNumber, kAtLeastOnce };

struct Option {
  std::string_view name;   // without the dashes
  std::string_view value;  // its argument, for help ("FILE"); empty: a switch
  Times times = Times::kAtMostOnce;
  std::string_view help;
};

class Arguments;

struct Subcommand {
  std::string_view name;
  // For help: "VERSION", "FROM TO"; in brackets: it may be left out; empty: the verb takes none.
  std::string_view operand;
  std::string_view summary;
  std::span<const Option> options;
  Result<> (*run)(const Arguments&);
};

class Arguments {
 public:
  // Accepts "--name VALUE", "--name=VALUE" and, for switches, "--name". "--" ends the options.
  static Result<Arguments> Parse(const Subcommand& verb, std::span<const char* const> words);

  bool Has(std::string_view option) const { return values_.contains(option); }
  // The value of a required option.
  const std::string& Get(std::string_view option) const { return values_.find(option)->second[0]; }
  std::string GetOr(std::string_view option, std::string_view fallback) const;
  std::vector<std::string> All(std::string_view option) const;
  // A decimal number; Size() also takes a suffix K, M, G or T, in powers of 1024. Absent when the
  // option is not given.
  Result<std::optional<uint64_t>> Number(std::string_view option) const;
  Result<std::optional<uint64_t>> Size(std::string_view option) const;
  const std::string& operand(size_t which = 0) const { return operands_[which]; }

 private:
  Result<> Add(const Option& option, std::string_view value);

  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  std::vector<std::string> operands_;  // as many as the verb takes; "" for one left out
};

// A decimal number and nothing else; kUsage otherwise.
Result<uint64_t> ParseNumber(std::string_view text);
// With a suffix K, M, G or T; not 0.
Result<uint64_t> ParseSize(std::string_view text);

// The texts of `program --help` and `program VERB --help`.
std::string Help(std::string_view program, std::string_view summary,
                 std::span<const Subcommand> verbs);
std::string Help(std::string_view program, const Subcommand& verb);

}  // namespace hostos
