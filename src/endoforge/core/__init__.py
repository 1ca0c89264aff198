"""What every layer needs: errors, atomic files, progress, sizes. Nothing heavy is imported here."""
