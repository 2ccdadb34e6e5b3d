// SPDX-License-Identifier: Apache-2.0
//
// fifo: channels over named pipes, "fifo:///path", among processes of one user.
//
//   listen, connect              a pair of FIFOs for each client; two-way, or from the server to
//                                each client, as both ends say              fifo_instance.hpp
//   listen with Direction::receive, connect with Direction::send
//                                many writers into one FIFO; accept() gives one channel that
//                                receives from all of them                  fifo_gathering.hpp
//
// Names, and who has them, are in fifo_place.hpp; what crosses the FIFO at the name, in
// fifo_frame.hpp.
#pragma once

#include "transport/fifo_gathering.hpp"
#include "transport/fifo_instance.hpp"
