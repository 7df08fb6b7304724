"""Measurements that back what README and docs claim; never part of the tests."""
