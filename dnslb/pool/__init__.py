"""Who may receive mail, and in which order: members, health, admin states, selection and rotation (pure)."""
