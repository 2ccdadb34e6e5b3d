#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Python's pools for bench/pool: `pool.py WHICH TASKS` prints the seconds that TASKS empty tasks take."""
import concurrent.futures
import multiprocessing
import sys
import time


def empty(number):
    return number


def with_pool(tasks):
    with multiprocessing.Pool(2) as pool:
        pool.map(empty, range(2), chunksize=1)  # its workers are there
        begin = time.perf_counter()
        for _ in pool.imap(empty, range(tasks), chunksize=1):
            pass
        return time.perf_counter() - begin


def with_executor(tasks):
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        list(pool.map(empty, range(2)))
        begin = time.perf_counter()
        for _ in pool.map(empty, range(tasks), chunksize=1):
            pass
        return time.perf_counter() - begin


print({"pool": with_pool, "executor": with_executor}[sys.argv[1]](int(sys.argv[2])))
