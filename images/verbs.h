// The verbs of hostimage: take the parsed command line, do the work, print the result on stdout.
#pragma once

#include <span>

#include "images/arguments.h"

namespace hostos {

// All verbs: the command table.
std::span<const Subcommand> Subcommands();

// The verbs that make images of a release and prove them: verify, disk, images.
std::span<const Subcommand> ImageVerbs();

// The verbs that decide what nodes find, and those that show it: root, publish, promote, withdraw,
// renew, check, sign, staged, abandon, releases, bundle.
std::span<const Subcommand> TrustVerbs();

// Those around image.toml: new, build, customize.
std::span<const Subcommand> BuildVerbs();
// The verbs that describe a release: diff, vex, notes.
std::span<const Subcommand> DescribeVerbs();

// The time that was given for what is made, if any.
Result<std::optional<uint64_t>> Timestamp(const Arguments& arguments, uint64_t now);

}  // namespace hostos
