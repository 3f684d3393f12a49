"""Hamiltonians as FCIDUMP files and as objects of OpenFermion and NetKet, read and written."""
