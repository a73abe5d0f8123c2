// How hostctl says that something went wrong: the whole truth in the first line, what was left
// unchanged in the second, then what to do.
#pragma once

#include <optional>
#include <string>

#include "bootctl/boot_control.h"
#include "updater/base/result.h"
#include "updater/hostctl/command.h"

namespace hostos {

// What a failed verb left behind, told from the evidence before and after it. `began` is true once
// it may have changed something (an update past its resolve phase).
std::string WhatIsLeft(const BootState& before, const Result<BootState>& after, bool began);

// What an operator does next; "" when the message says it all. Why something is not trusted, and so
// what to do about it, is told from the words of the message: it may come from another process, as
// a code and a text.
std::string Advice(const Error& error, const Invocation& invocation);

// "hostctl: <message>", `left`, the message's further lines and `advice`, each on a line of its own
// when there is something to say.
std::string FailureText(const Error& error, const std::string& left, const std::string& advice);

}  // namespace hostos
