#include "updater/tuf/json.h"

#include <catch2/catch_test_macros.hpp>

namespace hostos::tuf {
namespace {

std::string Problem(std::string_view text, size_t cap = 10'000'000) {
  const Result<Json> json = ParseJson(text, cap);
  REQUIRE_FALSE(json);
  CHECK(json.error().code == Code::kNotTrusted);
  return json.error().message;
}

std::string Canonical(std::string_view text) {
  return CanonicalJson(ParseJson(text, 1000).value());
}

std::string Nested(int levels) {
  return std::string(levels, '[') + std::string(levels, ']');
}

TEST_CASE("canonical JSON has no white space, and names sorted as bytes") {
  CHECK(Canonical(R"( { "b" : [ 1 , -2, true,false ,null ] , "a" : { } , "B":"", "ä": 0 } )") ==
        R"({"B":"","a":{},"b":[1,-2,true,false,null],"ä":0})");
  CHECK(Canonical("[0, -0, 9223372036854775807, -9223372036854775808]") ==
        "[0,0,9223372036854775807,-9223372036854775808]");
}

TEST_CASE("canonical JSON escapes quotation marks and backslashes, and nothing else") {
  CHECK(Canonical(R"(["\" \\ \/ \n \t \u0001 \u00e4 \ud83d\ude00"])") ==
        "[\"\\\" \\\\ / \n \t \x01 \u00e4 \U0001F600\"]");
}

TEST_CASE("white space around a document is allowed, anything else is not") {
  CHECK(ParseJson(" {} \n", 10));
  using namespace std::string_view_literals;
  for (std::string_view text :
       {""sv, "{} x"sv, "{}{}"sv, "{}\0"sv, "\0{}"sv, "{}\0x"sv, "\xEF\xBB\xBF{}"sv,
        "// note\n{}"sv, "{'a':1}"sv, "[1,]"sv, "nul"sv}) {
    CAPTURE(text);
    CHECK(Problem(text).starts_with("expected JSON, found "));
  }
}

TEST_CASE("text that is not UTF-8 is refused") {
  for (std::string_view text :
       {"[\"\xff\"]", "[\"\xc0\x80\"]", "[\"\xed\xa0\x80\"]", R"(["\ud800"])", "[\"\xc3\"]"}) {
    CAPTURE(text);
    CHECK(Problem(text).starts_with("expected JSON, found "));
  }
}

TEST_CASE("a name twice in an object is refused, at any depth") {
  CHECK(Problem(R"({"a":1,"b":2,"a":1})") ==
        "expected every name once in an object, found 'a' twice");
  CHECK(Problem(R"([{"b":{"x\n":1,"x\u000a":2}}])") ==
        "expected every name once in an object, found 'x%0A' twice");
  CHECK(ParseJson(R"([{"a":1},{"a":{"a":2}}])", 100));
}

TEST_CASE("numbers are integers of 64 bits") {
  for (std::string_view number : {"1.0", "1e3", "-0.0", "9223372036854775808",
                                  "-9223372036854775809", "18446744073709551616"}) {
    CAPTURE(number);
    CHECK(Problem(std::format("[{}]", number)).starts_with("expected integers of 64 bits, found "));
  }
  CHECK(Problem("[1e999]").starts_with("expected "));
}

TEST_CASE("a document that is too deep is refused, however deep") {
  CHECK(ParseJson(Nested(64), 1000));
  CHECK(Problem(Nested(65)) == "expected at most 64 levels, found more");
  CHECK(Problem(std::string(1'000'000, '[')) == "expected at most 64 levels, found more");
  std::string objects;
  for (int i = 0; i < 65; ++i) objects += R"({"a":)";
  CHECK(Problem(objects) == "expected at most 64 levels, found more");
}

TEST_CASE("a document above the cap is refused unread") {
  CHECK(ParseJson("[12]", 4));
  CHECK(Problem("[12]", 3) == "expected at most 3 bytes, found 4");
}

TEST_CASE("a field of another type is refused with its place") {
  const Json json = Json::parse(
      R"({"n":-1,"s":"","f":true,"a":["x",1],"o":{"a b":"x","c":2},"m":{"y":{},"z":[]}})");
  const Object object = Object::From(json, "root.signed").value();
  auto message = [](const auto& result) {
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Code::kNotTrusted);
    return result.error().message;
  };
  CHECK(message(object.Text("n")) == "root.signed.n: expected a string, found -1");
  CHECK(message(object.Text("none")) == "root.signed.none: expected a string, found null");
  CHECK(message(object.Integer("n", 0)) == "root.signed.n: expected an integer from 0, found -1");
  CHECK(message(object.Integer("s", 0)) ==
        "root.signed.s: expected an integer from 0, found string");
  CHECK(message(object.Flag("n")) == "root.signed.n: expected true or false, found -1");
  CHECK(message(object.Texts("a")) == "root.signed.a: expected an array of strings, found 1");
  CHECK(message(object.Texts("s")) == "root.signed.s: expected an array of strings, found string");
  CHECK(message(object.TextMap("o")) == "root.signed.o.c: expected a string, found 2");
  CHECK(message(object.Child("a")) == "root.signed.a: expected an object, found array");
  CHECK(message(object.Children("a")) == "root.signed.a[0]: expected an object, found string");
  CHECK(message(object.Children("o")) == "root.signed.o: expected an array, found object");
  CHECK(message(object.Members("m")) == "root.signed.m.z: expected an object, found array");
  CHECK(message(Object::From(Json(1), "root")) == "root: expected an object, found 1");
  CHECK(object.Integer("n", -1) == -1);
}

}  // namespace
}  // namespace hostos::tuf
