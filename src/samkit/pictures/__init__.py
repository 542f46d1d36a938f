"""Pictures for people: masks drawn on photographs, contact sheets, colours."""
