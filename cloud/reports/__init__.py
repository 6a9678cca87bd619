"""What people report: fire, a lost signal, a sick tree. Kept before anybody is thanked, judged by people alone."""
