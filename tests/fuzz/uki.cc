#include "bootctl/uki.h"

#include "tests/fuzz/fuzz.h"

using namespace hostos;

FUZZ(input) {
  const MemoryFile file(input);
  (void)ReadUki(file.fd());  // good or an error
  (void)RootHashOf(input);
}
