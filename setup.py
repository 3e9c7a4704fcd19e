"""Lay the built-in model into the wheel. All else stands in pyproject.toml.

A checkout keeps it in assets/, beside the package; a wheel brings the folder along as `rediprune.assets`.
"""

from setuptools import find_packages, setup

setup(
    include_package_data=False,  # what goes along is listed below
    packages=[*find_packages(include=["rediprune", "rediprune.*"]), "rediprune.assets"],
    package_dir={"rediprune.assets": "assets"},
    package_data={
        "rediprune": ["py.typed"],
        "rediprune.assets": ["tiny-llava/*", "tiny-clip/*", "known/*"],
        "rediprune.evaluation.lmms": ["tasks/*.yaml"],
    },
)
