// How hostctl reports a failure: what went wrong in the first line, what it left unchanged in the
// second, then what to do.
#pragma once

#include <optional>
#include <string>

#include "bootctl/boot_control.h"
#include "updater/base/result.h"
#include "updater/hostctl/command.h"

namespace hostos {

// What a failed verb left behind, judged by the boot state before and after. `began` is true once
// the verb may have changed something (an update past its resolve phase).
std::string WhatIsLeft(const BootState& before, const Result<BootState>& after, bool began);

// What an operator should do next; "" when the message says it all. Why something is not trusted is
// told by the words of the message, because the error may come from another process, as a code and
// a text.
std::string Advice(const Error& error, const Invocation& invocation);

// "hostctl: <message>", then `left`, the further lines of the message and `advice`: each on its own
// line, if it is not empty.
std::string FailureText(const Error& error, const std::string& left, const std::string& advice);

}  // namespace hostos
