"""Settings of a process: read once from the environment, every fault named."""

import os
from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError


class SettingsError(Exception):
    """The environment lacks or garbles a setting; the message names each."""


class ProcessSettings(BaseModel):
    """Settings of a process; each field is the variable `CARREL_<FIELD>`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; variables of other processes are left alone.

        Raises SettingsError with every variable that is missing or wrong.
        """
        values = {
            name: environment[variable]
            for name in cls.model_fields
            if (variable := f"CARREL_{name.upper()}") in environment
        }
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            wrong = "; ".join(
                f"CARREL_{str(each['loc'][0]).upper()}: {each['msg']}" for each in error.errors()
            )
            raise SettingsError(f"settings_are_wrong: {wrong}") from error
