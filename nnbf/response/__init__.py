"""Response of states: spectra of one-particle operators by Lanczos in a space grown for them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "krylov": ["Poles", "lanczos_poles"],
        "ladder_terms": ["LadderTerms"],
        "named_operators": ["OPERATORS", "channels"],
        "response_options": ["ResponseOptions"],
        "response_record": ["Response", "response_of"],
        "spectra": ["Channel", "KnownState", "Spectrum", "spectrum_of"],
    },
)
