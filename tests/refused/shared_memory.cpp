// SPDX-License-Identifier: Apache-2.0
//
// What must not compile. Each function is refused with the words behind its `refused:`; check.cmake
// compiles this file and looks for all of them, and compiles it with ALLOWED for what is behind that.
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string>

#include <bulkhead/mutex.hpp>
#include <bulkhead/region.hpp>
#include <bulkhead/shared.hpp>

using namespace bulkhead;

struct Account {
  explicit Account(Place place) : lock(place, "account") {}
  Mutex lock;
  std::int64_t balance = 0;
};
auto allowed() { return Shared<Account>::create(); }

#ifndef ALLOWED
// A8: a robust lock where a process that is not trusted can write is an arbitrary write for it.
void lock_in_an_untrusted_region(Region& region) {
  // refused: is private within this context
  new (region.mutable_bytes().data()) Mutex(Place{region.bytes().data(), region.size(), 0});
}
void lock_without_a_place(Region& region) {
  // refused: no matching function for call to 'bulkhead::Mutex::Mutex(
  new (region.mutable_bytes().data()) Mutex();
}
auto place_of_a_shared_region(const SharedRegion& region) {
  // refused: Place bulkhead::SharedRegion::place() const' is private
  return region.place();
}

struct List {
  int value;
  List* next;
};
// refused: Bulkhead: a pointer is good in one process only
auto pointer() { return Shared<List>::create(); }
struct Refers {
  int& to;
};
// refused: shared_shape() [with T = Refers]
auto reference() { return Shared<Refers>::open(posix_memory("")); }
struct Shape {
  virtual int area() const { return 0; }
};
// refused: Bulkhead: a virtual function is found through a pointer
auto polymorphic() { return Shared<Shape>::create(); }
// refused: Bulkhead: this type owns something of one process
auto owner() { return Shared<std::string>::create(); }
// refused: Bulkhead: a span or string_view points to bytes of one process
auto view() { return Shared<std::span<int>>::create(); }
struct alignas(8192) Aligned {
  int value;
};
// refused: Bulkhead: memory is mapped at multiples of 4096 bytes only
auto aligned() { return Shared<Aligned>::create(); }
class Opaque {
 public:
  Opaque();
  Opaque(const Opaque&);

 private:
  int value_;
};
// refused: Bulkhead: the compiler cannot tell whether this type may be in shared memory
auto opaque() { return Shared<Opaque>::create(); }
#endif
