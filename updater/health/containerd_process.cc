#include "updater/health/containerd_process.h"

#include <format>
#include <nlohmann/json.hpp>

#include "updater/base/printable.h"
#include "updater/health/program.h"

namespace hostos {
namespace {

using nlohmann::json;

constexpr size_t kAnswerLimit = 1 << 20;

std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Null if it is not the answer to this check.
std::optional<CheckResult> ReadCheck(const json& check, std::string_view name) {
  if (!check.is_object() || check.size() != 4) return std::nullopt;
  const auto is = [&](const char* key, bool (json::*type)() const noexcept) {
    return check.contains(key) && (check.at(key).*type)();
  };
  if (!is("name", &json::is_string) || check.at("name").get_ref<const std::string&>() != name ||
      !is("ok", &json::is_boolean) || !is("detail", &json::is_string) ||
      !is("took", &json::is_number_unsigned))
    return std::nullopt;
  return CheckResult{.name = std::string(name),
                     .ok = check.at("ok").get<bool>(),
                     .detail = OneLine(check.at("detail").get_ref<const std::string&>()),
                     .took = Milliseconds(check.at("took").get<uint32_t>())};
}

Result<std::vector<CheckResult>> ReadAnswer(const std::string& text) {
  const json answer = json::parse(text, nullptr, /*allow_exceptions=*/false);
  std::vector<CheckResult> checks;
  if (answer.is_array() && answer.size() == kContainerdChecks.size())
    for (size_t i = 0; i < answer.size(); i++)
      if (std::optional<CheckResult> check = ReadCheck(answer[i], kContainerdChecks[i]))
        checks.push_back(*std::move(check));
  if (checks.size() == kContainerdChecks.size()) return checks;
  return Fail(Code::kUnhealthy, "expected the results of {} checks, found {} bytes: {}",
              kContainerdChecks.size(), text.size(), OneLine(text.substr(0, 100)));
}

Result<std::vector<CheckResult>> Run(const std::string& program,
                                     const ContainerdQuestions& questions, Milliseconds cleanup) {
  const Milliseconds checks = kContainerdChecks.size() * questions.check_timeout;
  const ProgramRun run = TRY(RunProgram({.file = program,
                                         .words = {program, ToJson(questions)},
                                         .environment = {"LANG=C.UTF-8"},
                                         .output_limit = kAnswerLimit,
                                         .limit = std::min(questions.limit, checks) + cleanup}));
  if (const int code = TRY(run.exit_code); code != 0)
    return Fail(Code::kUnhealthy, "exit code {}, expected 0", code);
  return ReadAnswer(run.output);
}

}  // namespace

std::string ToJson(const ContainerdQuestions& questions) {
  return Dump({{"socket", questions.socket},
               {"plugins", questions.plugins},
               {"settings", questions.settings},
               {"canary", questions.canary},
               {"runtime", questions.runtime},
               {"check_timeout", questions.check_timeout.count()},
               {"limit", questions.limit.count()}});
}

Result<ContainerdQuestions> QuestionsFromJson(std::string_view text) try {
  const json questions = json::parse(text);
  return ContainerdQuestions{
      .socket = questions.at("socket"),
      .plugins = questions.at("plugins"),
      .settings = questions.at("settings"),
      .canary = questions.at("canary"),
      .runtime = questions.at("runtime"),
      .check_timeout = Milliseconds(questions.at("check_timeout").get<int64_t>()),
      .limit = Milliseconds(questions.at("limit").get<int64_t>())};
} catch (const json::exception& exception) {
  return Fail(Code::kUsage, "expected hostctl's questions, found {}", exception.what());
}

std::string ToJson(const std::vector<CheckResult>& checks) {
  json list = json::array();
  for (const CheckResult& check : checks)
    list.push_back({{"name", check.name},
                    {"ok", check.ok},
                    {"detail", check.detail},
                    {"took", static_cast<uint64_t>(check.took.count())}});
  return Dump(list);
}

std::vector<CheckResult> AskContainerd(const std::string& program,
                                       const ContainerdQuestions& questions, Milliseconds cleanup) {
  const Result<std::vector<CheckResult>> answer = Run(program, questions, cleanup);
  if (answer) return *answer;
  std::vector<CheckResult> failed;
  for (const std::string_view name : kContainerdChecks)
    failed.push_back({.name = std::string(name),
                      .detail = std::format("{}: {}", program, OneLine(answer.error().message))});
  return failed;
}

}  // namespace hostos
