// The verbs: each calls the engine, then prints. Nothing else writes to standard output.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "updater/engine/config.h"
#include "updater/engine/world.h"
#include "updater/hostctl/command.h"
#include "updater/hostctl/exit_code.h"
#include "updater/hostctl/format.h"
#include "updater/hostctl/progress.h"

namespace hostos {

// Where a verb prints, and how.
struct Console {
  std::ostream& out;  // results
  std::ostream& err;  // progress and errors
  Paint paint{};      // of the results
  PhaseProgress::Style style = PhaseProgress::Style::kQuiet;
  size_t columns = 80;
  bool journal = false;  // `err` goes to systemd's journal: sd-daemon(3) level prefixes
};

// `problem` says why the configuration could not be used, and is null if it could; with a problem,
// `config` holds the defaults. Only status and gate go on then. The gate fails a trial for it,
// because the release before this one could read the same configuration. A rescue always gets a
// configuration: whatever could be used of it.
ExitCode RunVerb(const Invocation& invocation, World& world, const Config& config,
                 const Error* problem, Console& console);

}  // namespace hostos
