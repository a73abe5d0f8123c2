// Errors as values. A function that can fail returns Result<T>; nothing throws. Every layer adds
// where it was ("pull 3f2a...: object 9c1e...: HTTP 503"). `Code` is the small closed set that
// callers branch on and that hostctl maps to exit codes. Everything else is in the message, which
// tells an operator what was expected, what was found, where, and what to do next.
#pragma once

#include <cerrno>
#include <expected>
#include <format>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace hostos {

enum class Code {
  kFailed,        // everything that has no code of its own
  kUsage,         // the command line or the configuration is wrong
  kNothingToDo,   // already there
  kBusy,          // another process holds the lock
  kNotTrusted,    // signature, digest, root hash or binding does not hold
  kNetwork,       // the server could not be reached or answered badly
  kNoSpace,       // slot, ESP or state partition is too small or too full
  kUnhealthy,     // a health check does not hold
  kNotSupported,  // right and trusted, but not for this machine or this version
  kRefused,       // this release fell back here before
  kNotFound,      // absent, where absence is an error
  kStaged,        // kept until others have signed
  kNotNow,        // the network is metered: elsewhere, or later, it goes on
};

struct Error {
  Code code = Code::kFailed;
  std::string message;

  // The same error with the next outer layer's context: "context: message".
  Error Wrap(std::string_view context) && {
    return {code, std::format("{}: {}", context, message)};
  }
};

template <class T = void>
using Result = std::expected<T, Error>;

template <class... Args>
std::unexpected<Error> Fail(Code code, std::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{code, std::format(format, std::forward<Args>(args)...)});
}

// "what: No such file or directory", from errno at the call. ENOSPC and EDQUOT become kNoSpace,
// ENOENT becomes kNotFound.
inline std::unexpected<Error> FailErrno(std::string_view what, int error = errno) {
  Code code = error == ENOSPC || error == EDQUOT ? Code::kNoSpace
              : error == ENOENT                  ? Code::kNotFound
                                                 : Code::kFailed;
  return Fail(code, "{}: {}", what, std::generic_category().message(error));
}

}  // namespace hostos

// TRY(expression): the value of a Result; on an error, returns it from the calling function.
#define TRY(...)                                                                            \
  __extension__({                                                                           \
    auto&& try_result_ = (__VA_ARGS__);                                                     \
    if (!try_result_) [[unlikely]]                                                          \
      return ::std::unexpected(::std::forward<decltype(try_result_)>(try_result_).error()); \
    ::std::forward<decltype(try_result_)>(try_result_).value();                             \
  })

// TRY that puts the layer's context in front of the message. `context` is evaluated only on
// failure.
#define TRY_CONTEXT(context, ...)                                                    \
  __extension__({                                                                    \
    auto&& try_result_ = (__VA_ARGS__);                                              \
    if (!try_result_) [[unlikely]]                                                   \
      return ::std::unexpected(                                                      \
          ::std::forward<decltype(try_result_)>(try_result_).error().Wrap(context)); \
    ::std::forward<decltype(try_result_)>(try_result_).value();                      \
  })

// Neither may stand behind other members of a braced list: GCC leaves those undestroyed when it
// returns from there.
